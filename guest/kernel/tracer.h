// The number by which the kernel and the tracer know each other.
#pragma once

// "\nBPF", in the range of extensions that the SBI leaves to firmware (0x0A000000 to 0x0AFFFFFF).
#define TRACER_EID 0x0a425046
