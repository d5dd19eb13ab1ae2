/* SPDX-License-Identifier: Apache-2.0 */
/* The serial EEPROM of network cards: see microwire.h. */
#include <glib.h>
#include "hw/net/microwire.h"

enum { COMMAND = 9, READ = 6, WORD = 16 };

void microwire_pins(Microwire *m, bool select, bool clock, bool in)
{
    bool rises = clock && !m->clock;
    m->clock = clock;
    if (!select) {
        m->bits = m->command = 0;
    } else if (rises && m->bits >= COMMAND) {
        m->bits = MIN(m->bits + 1, COMMAND + WORD);
    } else if (rises && (m->bits || in)) {      /* zeros before the start bit do not count */
        m->command = (m->command << 1 | in) & 0x1ff;
        m->bits++;
    }
}

bool microwire_out(const Microwire *m, const uint16_t words[MICROWIRE_WORDS])
{
    bool data = m->bits > COMMAND && m->bits <= COMMAND + WORD && m->command >> 6 == READ;
    return data ? words[m->command & 63] >> (COMMAND + WORD - m->bits) & 1 : m->bits < COMMAND;
}
