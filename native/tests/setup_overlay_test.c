/* The overlay by both of the kernel's interfaces, with layers of every number and length. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "setup_support.h"
#include "../shim/overlay.h"

static struct setup_fixture fixture;

/* `count` directories, each with a file of its number; the topmost first. */
static char **make_layers(const char *parent, size_t count)
{
	char **layers = calloc(count + 1, sizeof(char *));

	for (size_t i = 0; i < count; i++) {
		if (asprintf(&layers[i], "%s/%zu", parent, i) < 0)
			exit(1);
		setup_shell("mkdir -p '%s' && echo %zu > '%s/own' && echo %zu > '%s/file-%zu'", layers[i], i, layers[i], i,
			    layers[i], i);
	}
	return layers;
}

static void free_layers(char **layers)
{
	for (char **layer = layers; *layer != NULL; layer++)
		free(*layer);
	free(layers);
}

static void expect_overlay(const char *title, const struct overlay_spec *overlay, size_t count, bool by_string)
{
	struct error err = { 0 };
	int target = open(fixture.bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = by_string ? overlay_attach_by_string(overlay, fixture.bundle, &err) :
			     overlay_attach_plain(overlay, fixture.bundle, target, &err);
	char name[64];
	char top[8] = "";
	int file;

	if (fd < 0)
		printf("  [%s] [%s] %s\n", err.step, err.path, err.message);
	expect(title, fd >= 0);
	file = openat(fd, "own", O_RDONLY | O_CLOEXEC);
	expect("  the first layer is the top", read(file, top, sizeof(top) - 1) == 2 && strcmp(top, "0\n") == 0);
	close(file);
	snprintf(name, sizeof(name), "file-%zu", count - 1);
	expect("  the last layer is there", faccessat(fd, name, F_OK, 0) == 0);
	close(fd);
	close(target);
	expect("  and goes away", umount2(fixture.bundle, 0) == 0);
}

static void test_layers(void)
{
	char parent[1024];
	char upper[128];
	char work[128];
	struct overlay_spec overlay = { .upper = fixture.upper, .work = fixture.work, .lower_count = 3 };
	size_t used;

	snprintf(parent, sizeof(parent), "%s/layers", fixture.directory);
	overlay.lower = make_layers(parent, 120);
	expect_overlay("three layers", &overlay, 3, false);
	expect_overlay("three layers by one string", &overlay, 3, true);
	overlay.lower_count = 1;
	expect_overlay("one layer", &overlay, 1, false);
	overlay.lower_count = 120;
	expect_overlay("120 layers, more than a page of paths", &overlay, 120, false);
	free_layers(overlay.lower);
	used = (size_t)snprintf(parent, sizeof(parent), "%s/", fixture.directory);
	for (int i = 0; i < 3; i++)
		used += (size_t)snprintf(parent + used, sizeof(parent) - used, "%0200d/", i);
	overlay.lower = make_layers(parent, 3);
	overlay.lower_count = 3;
	overlay.is_volatile = true;
	expect_overlay("paths longer than fsconfig takes", &overlay, 3, false);
	/* The same upper again: the volatile mark of the first mount must not be in the way. */
	expect_overlay("a second volatile mount", &overlay, 3, false);
	setup_reset(&fixture);
	free_layers(overlay.lower);
	snprintf(parent, sizeof(parent), "%s/a:b,c\\\\d", fixture.directory);
	overlay.lower = make_layers(parent, 2);
	overlay.lower_count = 2;
	expect_overlay("special characters", &overlay, 2, false);
	setup_reset(&fixture);
	expect_overlay("special characters in one string", &overlay, 2, true);
	setup_shell("mkdir '%s/u:p,p\\\\er' '%s/w:o,r\\\\k'", fixture.directory, fixture.directory);
	snprintf(upper, sizeof(upper), "%s/u:p,p\\\\er", fixture.directory);
	snprintf(work, sizeof(work), "%s/w:o,r\\\\k", fixture.directory);
	overlay.upper = upper;
	overlay.work = work;
	overlay.is_volatile = false;
	expect_overlay("special characters in upper and work", &overlay, 2, false);
	expect_overlay("special characters in upper and work, in one string", &overlay, 2, true);
	free_layers(overlay.lower);
}

static void test_failures(void)
{
	char long_path[600];
	char *lower[21];
	struct overlay_spec overlay = { .upper = fixture.upper, .work = fixture.work, .lower = lower, .lower_count = 20 };
	struct error err = { 0 };
	int target = open(fixture.bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);

	snprintf(long_path, sizeof(long_path), "/%0500d", 1);
	for (size_t i = 0; i < 20; i++)
		lower[i] = long_path;
	expect("more than a page has a clear error",
	       overlay_attach_by_string(&overlay, fixture.bundle, &err) == -E2BIG && strstr(err.message, "20 layers") != NULL);
	overlay.lower_count = 1;
	lower[0] = (char *)"/no/such/layer";
	expect("a missing layer is named", overlay_attach_plain(&overlay, fixture.bundle, target, &err) == -ENOENT &&
						   strcmp(err.path, "/no/such/layer") == 0 && strcmp(err.step, "rootfs") == 0);
	lower[0] = fixture.layer;
	overlay.upper = "/no/such/upper";
	expect("a missing upper is named", overlay_attach_plain(&overlay, fixture.bundle, target, &err) == -ENOENT &&
						   strcmp(err.path, "/no/such/upper") == 0);
	overlay.upper = fixture.upper;
	overlay.work = fixture.upper;
	expect("work in upper is refused", overlay_attach_plain(&overlay, fixture.bundle, target, &err) < 0);
	close(target);
}

static void test_releases(void)
{
	expect("before 6.8 by string", overlay_needs_string("6.7.12") && overlay_needs_string("5.15.0-105-generic") &&
					       overlay_needs_string("6.1.0-18-amd64"));
	expect("from 6.8 by descriptors", !overlay_needs_string("6.8.0-31-generic") && !overlay_needs_string("6.12.9") &&
						  !overlay_needs_string("7.0") && !overlay_needs_string("10.2.1"));
	expect("an odd release is a new one", !overlay_needs_string("unknown") && !overlay_needs_string(""));
}

int main(void)
{
	setup_require_root();
	setup_begin(&fixture);
	test_layers();
	test_failures();
	test_releases();
	setup_end(&fixture);
	return 0;
}
