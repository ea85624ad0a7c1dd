//! What time is it? The one clock of the product: `CLOCK_BOOTTIME`, which counts suspended time and is
//! never set (`clock_gettime(2)`).
