//! Address lists that own their memory until they are lent.

use std::net::IpAddr;

use dperf_core::plan::{AddressBlock, AddressList, number};

/// The owner of what an [`AddressList`] borrows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OwnedList {
    blocks: Vec<AddressBlock>,
    addresses: Vec<IpAddr>,
}

impl OwnedList {
    /// A list of different `addresses` of one family, walked in this order.
    pub fn new(addresses: Vec<IpAddr>) -> OwnedList {
        let mut blocks: Vec<AddressBlock> = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let first = number(*address);
            match blocks.last_mut() {
                Some(block) if first == block.first + u128::from(block.count) => block.count += 1,
                _ => blocks.push(AddressBlock { first, count: 1, base: index as u32 }),
            }
        }
        blocks.sort_unstable_by_key(|block| block.first);
        OwnedList { blocks, addresses }
    }

    /// How many addresses there are.
    pub fn count(&self) -> u32 {
        self.addresses.len() as u32
    }

    /// The addresses in walking order.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The list, borrowed.
    pub fn as_list(&self) -> AddressList<'_> {
        AddressList::new(&self.blocks, &self.addresses)
    }

    /// The list for as long as the process lives.
    pub fn lend(self) -> AddressList<'static> {
        AddressList::new(Vec::leak(self.blocks), Vec::leak(self.addresses))
    }

    /// The addresses as people write them: `10.0.1.1 - 10.0.1.4, 10.0.1.9`.
    pub fn ranges(&self) -> String {
        let mut blocks = self.blocks.clone();
        blocks.sort_unstable_by_key(|block| block.base);
        let range = |block: &AddressBlock| {
            let list = self.as_list();
            match block.count {
                1 => list.at(block.base).to_string(),
                count => format!("{} - {}", list.at(block.base), list.at(block.base + count - 1)),
            }
        };
        blocks.iter().map(range).collect::<Vec<_>>().join(", ")
    }
}
