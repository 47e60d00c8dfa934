/* The launcher: answers berthd on descriptor 3 and forks what may block. */
#ifndef BERTH_LAUNCHER_LAUNCHER_H
#define BERTH_LAUNCHER_LAUNCHER_H

/* Runs until berthd closes its end. Returns the process's exit code. */
int launcher_main(void);

#endif
