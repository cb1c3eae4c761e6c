// Header-only module.
