//! What the processor can do, found when the program runs, and the switch that keeps it to what every one can.

use std::sync::OnceLock;

/// What the processor can do. Loops are compiled once per level from one body; each gives the same bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// What every processor of the platform has.
    Baseline,
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with its parts F, VL, BW and DQ.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Returns the levels that this processor has, the lowest first.
pub fn levels() -> Vec<Level> {
    let mut levels = vec![Level::Baseline];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") {
            levels.push(Level::Avx2);
        }
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
        {
            levels.push(Level::Avx512);
        }
    }
    levels
}

/// The variable that keeps loops to lower levels.
pub const VARIABLE: &str = "MODELGATE_SIMD";

/// What the variable may say.
pub const SETTINGS: [&str; 3] = ["on", "avx2", "off"];

/// Returns the level that `wanted` asks for of those that there are: the lowest for `off`, AVX2 at most for `avx2`, else
/// the highest.
fn chosen(wanted: Option<&str>, levels: &[Level]) -> Level {
    let allowed = |level: &&Level| match wanted {
        Some("off") => **level == Level::Baseline,
        #[cfg(target_arch = "x86_64")]
        Some("avx2") => **level <= Level::Avx2,
        _ => true,
    };
    levels.iter().rfind(allowed).copied().unwrap_or(Level::Baseline)
}

/// Returns the level in use: the highest, or a lower one where [`VARIABLE`] is `off` or `avx2`. What is none of
/// [`SETTINGS`] changes nothing here: a program refuses it before, since this is asked in the midst of work.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let wanted = std::env::var(VARIABLE).ok();
        chosen(wanted.as_deref(), &levels())
    })
}

/// Declares a function that runs `body` compiled for the level given. Only for modules named `simd`: a body must be
/// `#[inline(always)]`, and must not fuse products with sums, so that every level gives the same bits.
#[macro_export]
macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident, $body:ident, ($($argument:ident: $kind:ty),*)) => {
        $(#[$doc])*
        pub(crate) fn $name(level: $crate::processor::Level, $($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $kind),*) {
                    $body($($argument),*);
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
                fn avx512($($argument: $kind),*) {
                    $body($($argument),*);
                }
                match level {
                    $crate::processor::Level::Baseline => {}
                    // SAFETY: a level other than the lowest is only made where the processor was found to have it.
                    $crate::processor::Level::Avx2 => return unsafe { avx2($($argument),*) },
                    // SAFETY: as above.
                    $crate::processor::Level::Avx512 => return unsafe { avx512($($argument),*) },
                }
            }
            let _ = level;
            $body($($argument),*);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_switch_keeps_to_lower_levels_that_are_there() {
        let all = [Level::Baseline, Level::Avx2, Level::Avx512];
        assert_eq!(chosen(Some("off"), &all), Level::Baseline);
        assert_eq!(chosen(Some("avx2"), &all), Level::Avx2);
        assert_eq!(chosen(Some("avx2"), &all[..1]), Level::Baseline);
        assert_eq!(chosen(None, &all), Level::Avx512);
        assert_eq!(chosen(Some("on"), &all[..2]), Level::Avx2);
        let different: std::collections::BTreeSet<_> = SETTINGS.map(|word| chosen(Some(word), &all)).into();
        assert_eq!(different.len(), SETTINGS.len(), "each setting is another level");
    }
}
