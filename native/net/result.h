/* Answers in CNI's form, on standard output. */
#ifndef BERTH_NET_RESULT_H
#define BERTH_NET_RESULT_H

#include "attach.h"

int result_print(const struct config *config, const struct attached *attached, const char *netns);
int result_versions(const char *version);
void result_error(const char *version, const struct error *err);

#endif
