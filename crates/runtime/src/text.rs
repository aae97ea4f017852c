//! What this program keeps in memory of its own text.

use std::{fs, io, ops::Range};

use crate::sys;

/// Gives back the text of this program that is mapped. Most of it only the start has needed; what is needed again the
/// kernel maps again, from its copy of the file. Best called once, when the program has started.
///
/// # Errors
/// If the mappings cannot be read. Nothing is lost then.
pub fn give_back_text() -> io::Result<()> {
    let program = fs::read_link("/proc/self/exe")?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    for range in text_of(&program.to_string_lossy(), &maps) {
        sys::unmap_text(range)?;
    }
    Ok(())
}

/// The mappings of a program that can be executed and not written: lines of `/proc/<pid>/maps`.
fn text_of<'a>(program: &'a str, maps: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    maps.lines().filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights) = (fields.next()?, fields.next()?);
        let is_text = rights == "r-xp" && line.ends_with(program) && program.starts_with('/');
        let (start, end) = range.split_once('-').filter(|_| is_text)?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_executed_and_never_written_is_text() {
        let maps = "1000-2000 r--p 00000000 fe:00 7  /bin/program\n\
                    2000-5000 r-xp 00001000 fe:00 7  /bin/program\n\
                    5000-6000 r--p 00004000 fe:00 7  /bin/program\n\
                    6000-7000 rw-p 00005000 fe:00 7  /bin/program\n\
                    8000-9000 r-xp 00000000 fe:00 8  /lib/libc.so.6\n\
                    a000-b000 r-xp 00000000 00:00 0  [vdso]\n\
                    nonsense\n";
        let found: Vec<_> = text_of("/bin/program", maps).map(|range| (range.start, range.end)).collect();
        assert_eq!(found, [(0x2000, 0x5000)]);
        assert_eq!(text_of("", maps).count(), 0);
    }

    #[test]
    fn a_program_runs_on_without_its_text() {
        give_back_text().unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let program = fs::read_link("/proc/self/exe").unwrap();
        assert_eq!(text_of(&program.to_string_lossy(), &maps).count(), 1);
    }
}
