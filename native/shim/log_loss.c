/* Entries that do not get into the log: which, how many, and how the log tells it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../common/clock.h"
#include "log_parts.h"

#define SECOND_NS UINT64_C(1000000000)

void log_lose(struct log *log, enum log_loss why, enum log_stream stream, char tag)
{
	struct log_line *line = &log->lines[stream];

	log->lost[why]++;
	line->length = 0;
	/* Half a line would be taken for the beginning of the next. */
	line->skipping = tag == 'P';
}

void log_limit(struct log *log, uint64_t rate)
{
	log->rate = rate;
	log->allowance = (int64_t)rate;
	log->allowance_time = monotonic_ns();
}

static void top_up(struct log *log)
{
	uint64_t now = monotonic_ns(), passed = now - log->allowance_time;

	if (passed >= SECOND_NS) {
		/* A second's worth is the most that is saved up. */
		log->allowance += (int64_t)(log->rate * (passed / SECOND_NS > 3600 ? 3600 : passed / SECOND_NS));
		passed %= SECOND_NS;
		log->allowance_time = now - passed;
	}
	/* In steps of ten milliseconds, so that small rates are not lost to rounding. */
	if (passed >= SECOND_NS / 1000 * 10) {
		log->allowance += (int64_t)(log->rate * (passed / 1000) / (SECOND_NS / 1000));
		log->allowance_time = now;
	}
	if (log->allowance > (int64_t)log->rate)
		log->allowance = (int64_t)log->rate;
}

bool log_admit(struct log *log, size_t size)
{
	if (log->rate == 0)
		return true;
	if (log->allowance <= 0)
		top_up(log);
	if (log->allowance <= 0)
		return false;
	log->allowance -= (int64_t)size;
	return true;
}

size_t log_put_note(struct log *log, enum log_loss why, char *to)
{
	uint64_t count = log->lost[why] - log->told[why];
	char reason[96];
	int length;

	if (count == 0)
		return 0;
	if (why == LOG_LOSS_RATE)
		snprintf(reason, sizeof(reason), "over the limit of %" PRIu64 " bytes per second", log->rate);
	else
		snprintf(reason, sizeof(reason), "%s", strerror(log->last_errno));
	log_put_header(log, to, LOG_STDERR, 'F');
	length = snprintf(to + LOG_HEADER_SIZE, LOG_NOTE_MAX - LOG_HEADER_SIZE, "berth: %" PRIu64 " log %s dropped: %s\n",
			  count, count == 1 ? "line was" : "lines were", reason);
	return LOG_HEADER_SIZE + (size_t)length;
}
