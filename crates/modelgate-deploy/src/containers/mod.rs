//! The files that put the prediction service into a container: for Docker and Compose, and for a Space.

mod render;

pub use render::{Docker, Image, SpaceImage, docker_files, image_path, image_workflow, space_files};
