/* What a caller may do wrong, each with its status: misuse MODEL. Under a sanitizer or valgrind nothing else shows. */
#include <flashlm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong = 0;

static void expect(int line, int32_t found, int32_t expected) {
    if (found != expected) {
        printf("line %d: expected \"%s\", found \"%s\"\n", line, flashlm_message(expected), flashlm_message(found));
        wrong = 1;
    }
}
#define EXPECT(call, status) expect(__LINE__, (call), (status))

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    uint8_t *room, *model, *memory;
    size_t len, needed = 0, all = 0, cut, i, told;
    flashlm *story = NULL, *copy;
    flashlm_options options;
    flashlm_statistics took;
    char piece[FLASHLM_PIECE], first[400] = "", second[400] = "", text[3000];

    if (file == NULL) return 2;
    room = aligned_alloc(64, 1 << 23);
    len = fread(room, 1, 1 << 22, file);
    fclose(file);
    /* a block of exactly the model's length: a byte read beyond shows */
    model = aligned_alloc(64, (len + 63) / 64 * 64);
    memcpy(model, room, len);

    EXPECT(flashlm_memory(NULL, len, 1, &needed), FLASHLM_NULL);
    EXPECT(flashlm_memory(model, len, 1, NULL), FLASHLM_NULL);
    EXPECT(flashlm_memory(model + 1, len - 1, 1, &needed), FLASHLM_MISALIGNED);
    EXPECT(flashlm_memory(model, 3, 1, &needed), FLASHLM_MODEL);
    EXPECT(flashlm_memory(model, 0, 1, &needed), FLASHLM_MODEL);
    EXPECT(flashlm_memory(model, len, 16, &all), FLASHLM_OK);
    EXPECT(flashlm_memory(model, len, 99, &needed), FLASHLM_OK);
    if (needed != all) wrong = 1, puts("more than 16 tokens at a time take more memory");
    EXPECT(flashlm_memory(model, len, 0, &needed), FLASHLM_OK);
    if (needed >= all) wrong = 1, puts("one token takes as much memory as 16");
    memory = aligned_alloc(64, (needed + 63) / 64 * 64);

    EXPECT(flashlm_open(NULL, needed, model, len, &story), FLASHLM_NULL);
    EXPECT(flashlm_open(memory, needed, NULL, len, &story), FLASHLM_NULL);
    EXPECT(flashlm_open(memory, needed, model, len, NULL), FLASHLM_NULL);
    EXPECT(flashlm_open(memory + 32, needed - 32, model, len, &story), FLASHLM_MISALIGNED);
    EXPECT(flashlm_open(memory, needed - 1, model, len, &story), FLASHLM_MEMORY);
    EXPECT(flashlm_open(memory, 10, model, len, &story), FLASHLM_MEMORY);
    EXPECT(flashlm_open(memory, 0, model, len, &story), FLASHLM_MEMORY);
    for (cut = 0; cut < len; cut += 1 + len / 100) EXPECT(flashlm_open(memory, needed, model, cut, &story), FLASHLM_MODEL);
    for (i = 0; i < len; i += 1 + len / 100) {
        model[i] ^= 16;
        EXPECT(flashlm_open(memory, needed, model, len, &story), FLASHLM_MODEL);
        model[i] ^= 16;
    }
    if (story != NULL) wrong = 1, puts("an error leaves a handle");

    EXPECT(flashlm_defaults(NULL), FLASHLM_NULL);
    EXPECT(flashlm_begin(NULL, "a", 1), FLASHLM_NULL);
    memset(memory, 0, needed);
    EXPECT(flashlm_begin((flashlm *)(void *)memory, "a", 1), FLASHLM_HANDLE);
    EXPECT(flashlm_begin((flashlm *)(void *)(memory + 8), "a", 1), FLASHLM_MISALIGNED);

    EXPECT(flashlm_open(memory, needed, model, len, &story), FLASHLM_OK);
    EXPECT(flashlm_next(story, piece, sizeof piece, NULL), FLASHLM_NOT_BEGUN);
    EXPECT(flashlm_begin(story, NULL, 1), FLASHLM_NULL);
    EXPECT(flashlm_begin(story, NULL, 0), FLASHLM_OK);
    EXPECT(flashlm_next(story, NULL, sizeof piece, NULL), FLASHLM_NULL);
    EXPECT(flashlm_next(story, piece, sizeof piece - 1, NULL), FLASHLM_CAPACITY);
    EXPECT(flashlm_set_depth(story, 200), FLASHLM_DEPTH);
    EXPECT(flashlm_set_depth(story, 3000), FLASHLM_DEPTH);
    EXPECT(flashlm_stats(story, NULL), FLASHLM_NULL);
    EXPECT(flashlm_set_options(story, NULL), FLASHLM_NULL);
    flashlm_defaults(&options);
    options.temperature = -1;
    EXPECT(flashlm_set_options(story, &options), FLASHLM_OPTION);
    options.temperature = 0.7f;
    options.top_p = 0;
    EXPECT(flashlm_set_options(story, &options), FLASHLM_OPTION);

    /* errors changed nothing: the story that was begun goes on, as one anew does; any bytes are a text */
    for (i = 0; i < 40 && flashlm_next(story, piece, sizeof piece, &told) == FLASHLM_OK; i++) strcat(first, piece);
    flashlm_defaults(&options);
    EXPECT(flashlm_set_options(story, &options), FLASHLM_OK);
    EXPECT(flashlm_begin(story, "", 0), FLASHLM_OK);
    for (i = 0; i < 40 && flashlm_next(story, piece, sizeof piece, &told) == FLASHLM_OK; i++) {
        strcat(second, piece);
        if (strlen(piece) != told) wrong = 1, puts("the length is not the piece's");
    }
    if (strcmp(first, second) != 0) wrong = 1, printf("two stories of the same seed: %s | %s\n", first, second);
    for (i = 0; i < sizeof text; i++) text[i] = (char)(i * 7 + i / 256);
    EXPECT(flashlm_begin(story, text, sizeof text), FLASHLM_OK);
    EXPECT(flashlm_stats(story, &took), FLASHLM_OK);
    if (took.prompt_tokens < 1000) wrong = 1, puts("3000 bytes of noise are few tokens");
    for (i = 0; i < 3000 && flashlm_next(story, piece, sizeof piece, NULL) == FLASHLM_OK; i++) continue;

    copy = story;
    EXPECT(flashlm_close(story), FLASHLM_OK);
    EXPECT(flashlm_close(copy), FLASHLM_HANDLE);
    EXPECT(flashlm_next(copy, piece, sizeof piece, NULL), FLASHLM_HANDLE);
    if (strcmp(flashlm_message(1234), flashlm_message(-1234)) != 0) wrong = 1;
    if (flashlm_version() != FLASHLM_VERSION) wrong = 1;
    free(memory);
    free(model);
    free(room);
    puts(wrong ? "misuse was not refused" : "misuse: refused as it should be");
    return wrong;
}
