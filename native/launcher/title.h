/* The name a process shows in ps. */
#ifndef BERTH_LAUNCHER_TITLE_H
#define BERTH_LAUNCHER_TITLE_H

/* Held in the environment by the re-executed program, as room that title_set may overwrite. */
#define TITLE_ROOM_VARIABLE "BERTH_TITLE_ROOM"
#define TITLE_ROOM_SIZE 128

/* Remembers where arguments and room lie. Call once, first thing in main. */
void title_init(int argc, char **argv, char **environment);
/* "berth-shim <id>": the whole as the command line, the first 15 bytes as the thread's name. */
void title_set(const char *name, const char *detail);

#endif
