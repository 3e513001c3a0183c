/* A story on a chip: no files, no heap. The model lies in flash (model.S), all that changes in one static array; what is
 * told goes to the debugger's console (semihosting, by newlib). */
#include <flashlm.h>
#include <stdio.h>

extern const uint8_t model[], model_end[];

/* What flashlm_memory says for this model and one token at a time; too little is refused, not overrun. */
#ifndef MEMORY
#define MEMORY 47104
#endif
static uint8_t memory[MEMORY] __attribute__((aligned(FLASHLM_ALIGNMENT)));

#ifndef PROMPT
#define PROMPT "Once upon a time"
#endif
#ifndef TOKENS
#define TOKENS 60
#endif

int main(void) {
    flashlm *story;
    flashlm_options options;
    flashlm_statistics took;
    char piece[FLASHLM_PIECE];
    size_t needed;
    int left = TOKENS;

    int32_t status = flashlm_memory(model, (size_t)(model_end - model), 1, &needed);
    if (status == FLASHLM_OK) status = flashlm_open(memory, sizeof memory, model, (size_t)(model_end - model), &story);
    if (status == FLASHLM_OK) {
        flashlm_defaults(&options);
        options.temperature = 0.8f;
        options.seed = 7;
        status = flashlm_set_options(story, &options);
    }
    if (status == FLASHLM_OK) status = flashlm_begin(story, PROMPT, sizeof PROMPT - 1);
    if (status == FLASHLM_OK) printf("%s", PROMPT);
    while (status == FLASHLM_OK && left-- > 0) {
        status = flashlm_next(story, piece, sizeof piece, NULL);
        if (status >= 0) printf("%s", piece);
    }
    printf("\n");
    if (status < 0) {
        printf("no story: %s\n", flashlm_message(status));
        return 1;
    }
    flashlm_stats(story, &took);
    printf("%u tokens in %u passes; %u of %u bytes of memory needed\n", (unsigned)took.tokens, (unsigned)took.passes,
           (unsigned)needed, (unsigned)sizeof memory);
    return 0;
}
