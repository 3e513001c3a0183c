/* Tells a story over the serial line, and another for every key. Needs a board with a Cortex-M4F, M7 or M33F, flash for
 * the model and 48 KB of RAM to spare. Put the model beside this sketch as model.h:
 *
 *     (echo 'alignas(64) const unsigned char model[] = {'; xxd -i < model.flm; echo '};') > model.h
 */
#include <flashlm.h>
#include "model.h"

alignas(FLASHLM_ALIGNMENT) static uint8_t memory[47104];
static flashlm *story = nullptr;
static flashlm_options options;

static bool good(int32_t status) {
  if (status < 0) Serial.println(flashlm_message(status));
  return status >= 0;
}

static void tell(const char *text) {
  char piece[FLASHLM_PIECE];
  if (!good(flashlm_set_options(story, &options)) || !good(flashlm_begin(story, text, strlen(text)))) return;
  Serial.print(text);
  for (int left = 200; left > 0 && flashlm_next(story, piece, sizeof piece, nullptr) == FLASHLM_OK; left--) {
    Serial.print(piece);
  }
  Serial.print("\nseed ");
  Serial.println((unsigned long)options.seed);
}

void setup() {
  Serial.begin(115200);
  while (!Serial) {
  }
  flashlm_defaults(&options);
  if (good(flashlm_open(memory, sizeof memory, model, sizeof model, &story))) tell("Once upon a time");
}

void loop() {
  if (story != nullptr && Serial.available() > 0) {
    Serial.read();
    options.seed++;
    tell("Once upon a time");
  }
}
