// A page of the kernel's text that is left to a tracer: it puts displaced instructions here and has them executed
// one at a time, out of line. The kernel never jumps into it; should anything else do so, it meets a breakpoint.

    .section .tracer_step_area, "ax", @progbits
    .option push
    .option rvc
    .rept 2048
    c.ebreak
    .endr
    .option pop
