/*
 * Containers for the tests of the shim's set-up: a busybox root in a temporary directory, a bundle made
 * of JSON fragments, and a run of it in a mount namespace of its own, without launcher and supervision.
 */
#ifndef BERTH_TESTS_SETUP_SUPPORT_H
#define BERTH_TESTS_SETUP_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/error.h"

/* JSON fragments; NULL takes the default. */
struct setup_case {
	const char *script;        /* for /bin/sh -c; or else: */
	const char *args;          /* a JSON array */
	const char *env;           /* a JSON array; default: a PATH */
	const char *cwd;           /* default "/" */
	const char *process;       /* more members of `process`, each followed by a comma */
	const char *mounts;        /* more mounts, each preceded by a comma */
	const char *linux_members; /* more members of `linux`, each followed by a comma */
	const char *namespaces;    /* the whole array */
	const char *top;           /* more members of config.json, each followed by a comma */
	const char *berth;         /* more members of berth.json, each preceded by a comma */
	bool plain;                /* no overlay: root.path is the layer itself */
	bool readonly;
	bool terminal;             /* on a pseudo terminal */
	const char *exec;          /* also a /bin/sh -c inside the running container, which then sleeps */
	const char *exec_after;    /* the exec waits until this file is in the writable layer */
};

struct setup_outcome {
	bool loaded;               /* the bundle was accepted */
	bool created;              /* the set-up succeeded */
	struct error error;        /* of the first that failed */
	int status;                /* as waitpid says; of the exec where there is one */
	double created_after;      /* milliseconds from the clone to the process that stands ready */
	char output[65536];        /* standard output and error */
};

struct setup_fixture {
	char directory[64];        /* temporary */
	char bundle[96], layer[96], upper[96], work[96];
};

/* Ends the test as skipped where it cannot run here. */
void setup_require_root(void);
void setup_begin(struct setup_fixture *fixture);
void setup_end(const struct setup_fixture *fixture);
/* Gives the container a fresh writable layer. */
void setup_reset(const struct setup_fixture *fixture);
/* Writes the bundle and runs it to its end. */
void setup_run(const struct setup_fixture *fixture, const struct setup_case *what, struct setup_outcome *outcome);
/* Writes the bundle only. */
void setup_write_bundle(const struct setup_fixture *fixture, const struct setup_case *what);
/* Creates a file in the layer, with its directories. */
void setup_layer_file(const struct setup_fixture *fixture, const char *path, const char *content, unsigned int mode);
/* A shell command on the host side, which must succeed. */
void setup_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Checks: each prints what it found and ends the test when it fails. */
void expect_output(const char *title, const struct setup_outcome *outcome, const char *needle);
void expect_no_output(const char *title, const struct setup_outcome *outcome, const char *needle);
void expect_exit(const char *title, const struct setup_outcome *outcome, int code);
void expect_error(const char *title, const struct setup_outcome *outcome, const char *step, int code,
		  const char *in_message);
void expect(const char *title, bool condition);

#endif
