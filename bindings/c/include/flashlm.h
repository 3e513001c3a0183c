/* FlashLM: ternary language models that tell stories, from C.
 *
 * Everything lies in memory that you give: no heap, no statics, no callbacks, no threads. The model is read where it
 * lies, be that flash or a mapped file, and is never written. Functions never print, never abort and never wait.
 *
 *     static const uint8_t MODEL[] __attribute__((aligned(4))) = { ... };
 *     static uint8_t memory[MEMORY] __attribute__((aligned(FLASHLM_ALIGNMENT)));
 *
 *     flashlm *story;
 *     char piece[FLASHLM_PIECE];
 *     if (flashlm_open(memory, sizeof memory, MODEL, sizeof MODEL, &story) != FLASHLM_OK) { ... }
 *     flashlm_begin(story, "Once upon a time", 16);
 *     while (flashlm_next(story, piece, sizeof piece, NULL) == FLASHLM_OK)
 *         fputs(piece, stdout);
 *
 * The same model, text and options give the same story on every machine, bit for bit.
 *
 * Threads: a handle may be used by one at a time; different handles, over the same model too, by as many as you like.
 *
 * Errors: every function but flashlm_version and flashlm_message returns an enum flashlm_status; those below 0 are
 * errors, and flashlm_message says what each means. After an error of flashlm_begin there is no story to go on with;
 * other errors change nothing. Null, misaligned and short memory, damaged models and handles that were closed are
 * recognised. Pointers to memory that is not there, and memory that you write while a handle uses it, are not.
 */
#ifndef FLASHLM_H
#define FLASHLM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface: 100 times the major, plus the minor one. */
#define FLASHLM_VERSION 1

/* Boundary, in bytes, that the memory given to flashlm_open has to lie on. A model's is 4, better 64. */
#define FLASHLM_ALIGNMENT 64

/* Bytes of a buffer that takes any piece of a story, the zero at its end included. */
#define FLASHLM_PIECE 68

enum flashlm_status {
    FLASHLM_OK = 0,
    /* The story has ended: nothing comes after this piece. */
    FLASHLM_END = 1,
    /* A pointer is null. */
    FLASHLM_NULL = -1,
    /* A pointer is not on the boundary that it has to be on. */
    FLASHLM_MISALIGNED = -2,
    /* There is less memory than flashlm_memory says. */
    FLASHLM_MEMORY = -3,
    /* The bytes are no model, or a damaged one, or of another version of the format. */
    FLASHLM_MODEL = -4,
    /* The model has no tokenizer, or no token that ends a story, so it tells none. */
    FLASHLM_TEXT = -5,
    /* The handle is none, or was closed. */
    FLASHLM_HANDLE = -6,
    /* The model's reasoning loop does not run at this depth. */
    FLASHLM_DEPTH = -7,
    /* An option is out of its range. */
    FLASHLM_OPTION = -8,
    /* There is room for less than FLASHLM_PIECE bytes. */
    FLASHLM_CAPACITY = -9,
    /* No story was begun. */
    FLASHLM_NOT_BEGUN = -10
};

/* A model with a story in it: it lies at the start of the memory given to flashlm_open. */
typedef struct flashlm flashlm;

/* How the next piece is drawn. */
typedef struct flashlm_options {
    /* Same seed, same story. 1. */
    uint64_t seed;
    /* 0 or more; 0 always takes the likeliest. 0.7. */
    float temperature;
    /* Above 0 to 1: draw from the likeliest that together have this probability. 0.95. */
    float top_p;
    /* 0 to 1: draw from those at least this many times as likely as the likeliest. 0. */
    float min_p;
    /* Above 0: logits of the last 64 tokens are divided (positive) or multiplied (negative) by it. 1 is none. 1. */
    float repetition_penalty;
    /* Draw from the likeliest this many; 0, and all above 64, are 64. 0. */
    uint32_t top_k;
} flashlm_options;

/* What a story took so far. */
typedef struct flashlm_statistics {
    /* Tokens of the text that it began with. */
    uint32_t prompt_tokens;
    /* Tokens drawn. */
    uint32_t tokens;
    /* Passes of the reasoning loop at them; 0 for a model without. */
    uint32_t passes;
} flashlm_statistics;

/* FLASHLM_VERSION of the library. */
uint32_t flashlm_version(void);

/* What a status means, in English: a string that lives as long as the program. Any number may be asked about. */
const char *flashlm_message(int32_t status);

/* Writes to `needed` how many bytes of memory flashlm_open needs for the `len` bytes of the model at `blob`. `together`:
 * tokens of a text to read at a time, 1 to 16; more are faster where the processor has vectors, and take 8 KB each for
 * the largest models. On a chip take 1. Reads the model's first 64 bytes and believes them. On an error writes 0. */
int32_t flashlm_memory(const void *blob, size_t len, uint32_t together, size_t *needed);

/* Opens a model in `bytes` bytes of `memory`, on a boundary of FLASHLM_ALIGNMENT, and writes a handle to `handle`, or
 * null on an error. Checks all of the model once, which takes about as long as reading it, and copies nothing: `blob`
 * and `memory` stay yours, have to stay where they are, and may not be changed until flashlm_close. What is more than
 * flashlm_memory says for one token is used to read that many tokens at a time. */
int32_t flashlm_open(void *memory, size_t bytes, const void *blob, size_t len, flashlm **handle);

/* Writes the options that a handle begins with. */
int32_t flashlm_defaults(flashlm_options *options);

/* Takes options. A story that was begun is dropped, and random numbers begin anew from the seed. */
int32_t flashlm_set_options(flashlm *handle, const flashlm_options *options);

/* Chooses the passes that the reasoning loop takes at every token from now on: 1 to the model's deepest, or 0 to let the
 * model choose. */
int32_t flashlm_set_depth(flashlm *handle, uint32_t passes);

/* Begins a story with `len` bytes of UTF-8 at `text`, none for one that the model begins; takes a step of the model for
 * every token of it, some four bytes. The text is not told again by flashlm_next; where it ends in a space, the space
 * comes with the first piece instead. Random numbers go on from the story before. */
int32_t flashlm_begin(flashlm *handle, const char *text, size_t len);

/* Writes the next piece of the story to `piece`, which has room for `capacity` bytes, at least FLASHLM_PIECE: whole
 * characters of UTF-8 with a zero behind them. A piece may be empty while the story goes on, where a character takes
 * several tokens. `written`, if it is not null, gets the length without the zero. Takes a step of the model. */
int32_t flashlm_next(flashlm *handle, char *piece, size_t capacity, size_t *written);

/* Writes what the story took so far. */
int32_t flashlm_stats(flashlm *handle, flashlm_statistics *statistics);

/* Ends the use of a handle: memory and model are yours again. A handle need not be closed before its memory is used for
 * something else. */
int32_t flashlm_close(flashlm *handle);

#ifdef __cplusplus
}
#endif

#endif
