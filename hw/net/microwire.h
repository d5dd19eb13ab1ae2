/* SPDX-License-Identifier: Apache-2.0 */
/* A serial EEPROM of 64 words on three pins: 93C46. Spec: Microchip 93AA46 data sheet. Words are
 * read; erasing and writing are not done. */
#ifndef HW_NET_MICROWIRE_H
#define HW_NET_MICROWIRE_H

#include <stdbool.h>
#include <stdint.h>

enum { MICROWIRE_WORDS = 64 };

/* Saved whole by its owner; zeros: not selected. */
typedef struct Microwire {
    uint32_t bits;              /* clocks since the start bit */
    uint32_t command;           /* start bit, operation (2 bits), word (6) */
    uint32_t clock;             /* level */
} Microwire;

/* New levels of select, clock and data in. */
void microwire_pins(Microwire *m, bool select, bool clock, bool in);
/* Data out: the word that is read, or "ready". */
bool microwire_out(const Microwire *m, const uint16_t words[MICROWIRE_WORDS]);

#endif
