#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Length of the well-formed UTF-8 sequence at `at`, or 0. Names in archives may be any bytes. */
static int sequence(const unsigned char *at)
{
	int length = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
									   : at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : 0;
	for (int i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return length;
}

static void print_string(const char *text)
{
	putchar('"');
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
		int length = sequence(at);
		if (length == 0)
			printf("\\ufffd");
		else if (*at == '"' || *at == '\\')
			printf("\\%c", *at);
		else if (*at < 0x20 || *at == 0x7f)
			printf("\\u%04x", *at);
		else
			fwrite(at, 1, (size_t)length, stdout);
		at += length == 0 ? 1 : length;
	}
	putchar('"');
}

static int finish(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -1;
}

static void print_figures(const struct figures *figures)
{
	printf("\"unpackedBytes\":%llu,\"contentBytes\":%llu,\"inodes\":%llu,\"implied\":%llu",
	       (unsigned long long)figures->disk_bytes, (unsigned long long)figures->content_bytes,
	       (unsigned long long)figures->inodes, (unsigned long long)figures->implied);
}

int report_figures(const struct figures *figures)
{
	printf("{");
	print_figures(figures);
	printf("}\n");
	return finish();
}

static unsigned long long microseconds(struct timeval time)
{
	return (unsigned long long)time.tv_sec * 1000000 + (unsigned long long)time.tv_usec;
}

/* Where the processor time went, in microseconds. */
static void print_cpu(const struct stream_totals *totals)
{
	struct rusage usage;
	/* Its arguments cannot be wrong. */
	if (getrusage(RUSAGE_SELF, &usage) < 0)
		abort();
	printf("\"cpu\":{\"decompress\":%llu,\"hash\":%llu,\"user\":%llu,\"kernel\":%llu},",
	       (unsigned long long)totals->decompress_ns / 1000, (unsigned long long)totals->hash_ns / 1000,
	       microseconds(usage.ru_utime), microseconds(usage.ru_stime));
}

int report_layer(const struct layer_result *result)
{
	printf("{\"digest\":\"%s\",\"diffId\":\"%s\",\"size\":%llu,\"tarBytes\":%llu,\"skeletonBytes\":%llu,",
	       result->totals.digest, result->totals.diff_id, (unsigned long long)result->totals.input_bytes,
	       (unsigned long long)result->totals.tar_bytes, (unsigned long long)result->skeleton_bytes);
	print_cpu(&result->totals);
	print_figures(&result->figures);
	printf("}\n");
	return finish();
}

int report_done(void)
{
	printf("{}\n");
	return finish();
}

int report_error(const struct error *err)
{
	printf("{\"error\":{\"step\":\"%s\",\"path\":", err->step);
	print_string(err->path);
	printf(",\"errno\":%d,\"errnoName\":\"%s\",\"message\":", err->code, error_name(err->code));
	print_string(err->message);
	printf("}}\n");
	return finish();
}
