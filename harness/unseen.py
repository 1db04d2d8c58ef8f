"""Characters that nobody sees and that change what others see: they are shown by their number.

A text of anybody's may hold what moves a terminal's cursor, or turns the order of what stands
around it (Unicode Technical Report 36, "Bidirectional Text Spoofing").
"""

TURNING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
BLANK = "\t\n\r"

# For str.translate: a page may keep its line breaks, a line of text may not.
UNSEEN = {mark: f"\\u{mark:04x}" for mark in (*TURNING, *CONTROLS) if chr(mark) not in BLANK}
IN_A_LINE = UNSEEN | dict.fromkeys(map(ord, BLANK), " ")
