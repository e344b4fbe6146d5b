//! The one font of the plots, embedded: nothing is looked for on the machine or fetched.

use std::sync::OnceLock;

use plotters::style::{FontStyle, register_font};

use crate::error::EvaluateError;

/// The family's name in SVG; what a viewer has none of it falls back from.
pub(crate) const FAMILY: &str = "DejaVu Sans";

static REGISTERED: OnceLock<bool> = OnceLock::new();

/// Makes the font known to the drawing library, once.
pub(crate) fn register() -> Result<(), EvaluateError> {
    let bytes: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");
    let registered = REGISTERED.get_or_init(|| register_font(FAMILY, FontStyle::Normal, bytes).is_ok());
    if *registered { Ok(()) } else { Err(EvaluateError::Plot("the embedded font cannot be read".to_owned())) }
}
