/* What a Cortex-M with a floating-point unit needs before main: the vector table, memory as C wants it, and newlib's
 * console, which a debugger or emulator serves. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern uint32_t data_start, data_end, data_source, bss_start, bss_end, stack_top;
extern void initialise_monitor_handles(void);
extern int main(void);
/* newlib calls these where there are constructors; there are none */
void _init(void) {}
void _fini(void) {}

void reset(void);

static void stop(void) { abort(); }

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (void *)reset, (void *)stop, (void *)stop, (void *)stop, (void *)stop, (void *)stop,
};

void reset(void) {
    /* CPACR: coprocessors 10 and 11, the floating-point unit */
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    __asm volatile("dsb\n isb");
    memcpy(&data_start, &data_source, (size_t)((char *)&data_end - (char *)&data_start));
    memset(&bss_start, 0, (size_t)((char *)&bss_end - (char *)&bss_start));
    initialise_monitor_handles();
    exit(main());
}
