//! The one font of the plots, embedded: nothing is looked for on the machine or fetched.

use std::sync::OnceLock;

use ab_glyph::{Font as _, FontRef};
use plotters::style::{FontStyle, register_font};

use crate::error::EvaluateError;

/// The family's name in SVG; what a viewer has none of it falls back from.
pub(crate) const FAMILY: &str = "DejaVu Sans";

const BYTES: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");

static REGISTERED: OnceLock<bool> = OnceLock::new();

/// Makes the font known to the drawing library, once.
pub(crate) fn register() -> Result<(), EvaluateError> {
    let registered = REGISTERED.get_or_init(|| register_font(FAMILY, FontStyle::Normal, BYTES).is_ok());
    if *registered { Ok(()) } else { Err(EvaluateError::Plot("the embedded font cannot be read".to_owned())) }
}

/// Returns whether the font has a picture of a letter.
pub(crate) fn has(letter: char) -> bool {
    static FONT: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    let font = FONT.get_or_init(|| FontRef::try_from_slice(BYTES).ok());
    letter.is_whitespace() || font.as_ref().is_none_or(|font| font.glyph_id(letter).0 != 0)
}
