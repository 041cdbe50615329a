"""Display: the grey-scale pipeline, rendering, pixel spacing, matplotlib."""
