/* Tells a story from a model file: story MODEL TEXT [SEED [TEMPERATURE [TOKENS]]]
 *
 * What a host has and a chip has not, a file system and a heap, is used here only to load the model. */
#include <flashlm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what, int32_t status) {
    fprintf(stderr, "%s: %s\n", what, flashlm_message(status));
    return 1;
}

/* The whole file on a boundary that models like, or null. */
static void *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    void *bytes = NULL;
    long end;
    if (file == NULL) return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0) {
        *len = (size_t)end;
        bytes = aligned_alloc(FLASHLM_ALIGNMENT, (*len + FLASHLM_ALIGNMENT - 1) / FLASHLM_ALIGNMENT * FLASHLM_ALIGNMENT);
        if (bytes != NULL && fread(bytes, 1, *len, file) != *len) {
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(file);
    return bytes;
}

int main(int argc, char **argv) {
    size_t len = 0, needed = 0;
    void *model, *memory;
    flashlm *story = NULL;
    flashlm_options options;
    flashlm_statistics took;
    char piece[FLASHLM_PIECE];
    int32_t status;
    unsigned long left;

    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL TEXT [SEED [TEMPERATURE [TOKENS]]]\n", argv[0]);
        return 2;
    }
    model = read_file(argv[1], &len);
    if (model == NULL) {
        fprintf(stderr, "%s: expected a model file (.flm) that can be read\n", argv[1]);
        return 1;
    }
    if ((status = flashlm_memory(model, len, 16, &needed)) != FLASHLM_OK) return failed(argv[1], status);
    needed = (needed + FLASHLM_ALIGNMENT - 1) / FLASHLM_ALIGNMENT * FLASHLM_ALIGNMENT;
    memory = aligned_alloc(FLASHLM_ALIGNMENT, needed);
    if (memory == NULL) return failed(argv[1], FLASHLM_MEMORY);
    if ((status = flashlm_open(memory, needed, model, len, &story)) != FLASHLM_OK) return failed(argv[1], status);

    flashlm_defaults(&options);
    if (argc > 3) options.seed = strtoull(argv[3], NULL, 10);
    if (argc > 4) options.temperature = strtof(argv[4], NULL);
    left = argc > 5 ? strtoul(argv[5], NULL, 10) : 400;
    if ((status = flashlm_set_options(story, &options)) != FLASHLM_OK) return failed("options", status);
    if ((status = flashlm_begin(story, argv[2], strlen(argv[2]))) != FLASHLM_OK) return failed("text", status);
    fputs(argv[2], stdout);
    while (left-- > 0 && (status = flashlm_next(story, piece, sizeof piece, NULL)) == FLASHLM_OK) {
        fputs(piece, stdout);
        fflush(stdout);
    }
    if (status < 0) return failed("story", status);
    putchar('\n');
    flashlm_stats(story, &took);
    fprintf(stderr, "%u tokens read, %u told in %u passes, %zu bytes of memory\n", (unsigned)took.prompt_tokens,
            (unsigned)took.tokens, (unsigned)took.passes, needed);
    flashlm_close(story);
    free(memory);
    free(model);
    return 0;
}
