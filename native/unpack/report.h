/* The one line of JSON on standard output. */
#ifndef BERTH_UNPACK_REPORT_H
#define BERTH_UNPACK_REPORT_H

#include "../common/error.h"
#include "layer.h"

int report_layer(const struct layer_result *result);
int report_figures(const struct figures *figures);
int report_done(void);
int report_error(const struct error *err);

#endif
