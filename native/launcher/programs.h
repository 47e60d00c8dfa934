#ifndef BERTH_LAUNCHER_PROGRAMS_H
#define BERTH_LAUNCHER_PROGRAMS_H

/* The variable in which the sealed copy is told where it was copied from. */
#define PROGRAMS_VARIABLE "BERTH_PROGRAMS"

/* To be called once at start, before the title is changed: that overwrites the environment. */
void programs_init(void);

/* Where Berth's other native programs are; empty when that is not known. */
const char *programs_directory(void);

#endif
