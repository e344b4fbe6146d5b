//! The files that put the prediction service into a container: for Docker and Compose, and for a Space.

mod render;

pub use render::{Docker, SpaceImage, docker_files, image_workflow, space_files};
