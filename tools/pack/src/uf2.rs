//! UF2 (Microsoft, "USB Flashing Format"): blocks of 512 bytes that each say where their 256 bytes of payload go, so
//! that a boot loader can take them in any order.

/// Bytes of payload in a block.
pub const PAYLOAD: usize = 256;
/// Bytes there would be room for.
const ROOM: usize = 476;
const MAGIC: [u32; 2] = [0x0A32_4655, 0x9E5D_5157];
const END: u32 = 0x0AB1_6F30;
/// The block says which chips it is for.
const FAMILY_PRESENT: u32 = 0x2000;

/// The word behind the payload means something.
const EXTENSION_PRESENT: u32 = 0x8000;
/// There it says: not to be written.
const IGNORE: u32 = 0x9957_E304;

/// "Absolute" of the RP2350's boot ROM (datasheet, "UF2 targeting rules"): blocks go to the addresses that they name,
/// whatever image and partitions are there, as a model's have to.
pub const ABSOLUTE: u32 = 0xE48B_FF57;
/// Firmware for the RP2350's Arm processors.
pub const ARM: u32 = 0xE48B_FF59;

/// `bytes` as blocks for chips of `family`, the first to go to `address`. The last is filled up with what erased flash
/// reads as.
pub fn blocks(bytes: &[u8], address: u32, family: u32) -> Vec<u8> {
    let count = bytes.len().div_ceil(PAYLOAD) as u32;
    let numbered = (0..count).zip(bytes.chunks(PAYLOAD));
    let blocks = numbered.flat_map(|(number, bytes)| {
        let mut payload = [0xFF; PAYLOAD];
        payload[..bytes.len()].copy_from_slice(bytes);
        block(&payload, [FAMILY_PRESENT, address + number * PAYLOAD as u32, number, count, family])
    });
    blocks.collect()
}

/// What stands in front of firmware against erratum RP2350-E10, as picotool writes it: a block of another family for
/// the last page of flash, so that the boot ROM does not go by partitions that it read before. A file that is
/// [`ABSOLUTE`] needs none: it begins with a block of that family by itself.
pub fn guard(last_page: u32) -> Vec<u8> {
    let mut payload = [0xEF; PAYLOAD + 4];
    payload[PAYLOAD..].copy_from_slice(&IGNORE.to_le_bytes());
    block(&payload, [FAMILY_PRESENT | EXTENSION_PRESENT, last_page, 0, 2, ABSOLUTE])
}

/// A block of what goes to flash, and what may lie behind it.
fn block(payload: &[u8], [flags, address, number, count, family]: [u32; 5]) -> Vec<u8> {
    let header = [MAGIC[0], MAGIC[1], flags, address, PAYLOAD as u32, number, count, family].map(u32::to_le_bytes);
    let mut block = [header.as_flattened(), payload].concat();
    block.resize(header.as_flattened().len() + ROOM, 0);
    block.extend(END.to_le_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_say_where_they_go_and_hold_all_bytes_in_order() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7 % 251) as u8).collect();
        let file = blocks(&bytes, 0x1008_0000, 0xE48B_FF57);
        assert_eq!(file.len(), 4 * 512);
        let mut flash = vec![0xFF; 1024];
        // by the specification: words little-endian, the payload behind eight of them
        for (i, block) in file.chunks(512).enumerate() {
            let word = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
            assert_eq!([word(0), word(4), word(508)], [0x0A32_4655, 0x9E5D_5157, 0x0AB1_6F30]);
            assert_eq!([word(8), word(16), word(20), word(24), word(28)], [0x2000, 256, i as u32, 4, 0xE48B_FF57]);
            let at = (word(12) - 0x1008_0000) as usize;
            flash[at..at + 256].copy_from_slice(&block[32..288]);
            assert!(block[288..508].iter().all(|&b| b == 0));
        }
        assert_eq!(flash[..1000], bytes);
        assert!(flash[1000..].iter().all(|&b| b == 0xFF));
    }
}
