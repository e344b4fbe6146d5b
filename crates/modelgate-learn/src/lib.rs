//! Trainers that emit modelgate-model values.
