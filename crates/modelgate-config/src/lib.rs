//! modelgate.yaml: parse, layer, validate, JSON schema.
