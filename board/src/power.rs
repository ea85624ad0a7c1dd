//! How this box resets itself.
