"""One function per thing that a person or the device does; the only code that combines the parts."""
