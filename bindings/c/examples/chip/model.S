/* The model in flash, on a boundary that it likes. MODEL is its file, quoted. */
    .section .rodata.model, "a", %progbits
    .balign 64
    .global model
model:
    .incbin MODEL
    .global model_end
model_end:
