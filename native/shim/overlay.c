#include "overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "filesystem.h"
#include "../common/scope.h"

/*
 * The options, the same for both interfaces, whatever the kernel was built with or its module was given:
 *   index=off      hard links need not survive a copy-up, and an index binds an upper to one lower for good
 *   metacopy=off   a metacopy xattr in an image could name data of another file
 *   redirect_dir=nofollow  likewise for directories: redirects are neither made nor followed. Renaming a
 *                  directory of a lower layer gives EXDEV, which mv(1) and its like know
 * xino is left to the kernel, and userxattr is for mounts in user namespaces. volatile is older (5.10)
 * than mount_setattr (5.12), which the set-up cannot do without, so it is always there.
 */
static const char *const fixed_options[][2] = {
	{ "index", "off" },
	{ "metacopy", "off" },
	{ "redirect_dir", "nofollow" },
};

/*
 * overlayfs leaves work/incompat/volatile behind when a volatile mount ends, and refuses the next mount of
 * that upper: after a crash of the machine, what was written may be lost. Berth asks for volatile only
 * for writable layers that do not outlive a boot, so there the mark says nothing.
 */
static bool clear_volatile_mark(const struct overlay_spec *overlay)
{
	scope_fd int work = open(overlay->work, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (!overlay->is_volatile || work < 0)
		return false;
	unlinkat(work, "work/incompat/volatile/dirty", 0);
	return unlinkat(work, "work/incompat/volatile", AT_REMOVEDIR) == 0;
}

/* upperdir and workdir, and every path of mount(2)'s string, undergo ovl_unescape. */
static size_t escape(char *to, const char *from, const char *special)
{
	size_t used = 0;

	for (; *from != '\0'; from++) {
		if (strchr(special, *from) != NULL)
			to[used++] = '\\';
		to[used++] = *from;
	}
	to[used] = '\0';
	return used;
}

/* What an error of the overlay as a whole is about. */
static const char *label(const struct overlay_spec *overlay)
{
	return overlay->upper != NULL ? overlay->upper : overlay->lower[0];
}

/* The path is looked up at once (ovl_mount_dir), so one too long for fsconfig can be given by a descriptor. */
static int set_path(int context, const char *key, const char *path, const char *special)
{
	char text[2 * PATH_MAX];
	scope_fd int fd = -1;

	if (escape(text, path, special) > FSCONFIG_MAX) {
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return -1;
		snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
	}
	return fsconfig(context, FSCONFIG_SET_STRING, key, text, 0);
}

static int set_directories(int context, const struct overlay_spec *overlay, struct error *err)
{
	for (size_t i = 0; i < overlay->lower_count; i++)
		if (set_path(context, "lowerdir+", overlay->lower[i], "") < 0)
			return filesystem_error(context, "rootfs", overlay->lower[i], "overlay: the layer was refused", err);
	if (overlay->upper == NULL)
		return 0;
	if (set_path(context, "upperdir", overlay->upper, "\\") < 0)
		return filesystem_error(context, "rootfs", overlay->upper, "overlay: the upper directory was refused", err);
	if (set_path(context, "workdir", overlay->work, "\\") < 0)
		return filesystem_error(context, "rootfs", overlay->work, "overlay: the work directory was refused", err);
	return 0;
}

static int make_detached(const struct overlay_spec *overlay, struct error *err)
{
	scope_fd int context = fsopen("overlay", FSOPEN_CLOEXEC);
	int fd;
	int ret;

	if (context < 0)
		return error_errno(err, "rootfs", label(overlay), "the kernel has no overlay filesystem");
	fsconfig(context, FSCONFIG_SET_STRING, "source", "overlay", 0);
	if ((ret = set_directories(context, overlay, err)) < 0)
		return ret;
	for (size_t i = 0; i < sizeof(fixed_options) / sizeof(fixed_options[0]); i++)
		if (fsconfig(context, FSCONFIG_SET_STRING, fixed_options[i][0], fixed_options[i][1], 0) < 0)
			return filesystem_error(context, "rootfs", label(overlay), fixed_options[i][0], err);
	if (overlay->is_volatile && fsconfig(context, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
		return filesystem_error(context, "rootfs", label(overlay), "overlay: volatile", err);
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return filesystem_error(context, "rootfs", label(overlay), "cannot make the overlay", err);
	fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? filesystem_error(context, "rootfs", label(overlay), "cannot mount the overlay", err) : fd;
}

static bool add(char *options, size_t size, size_t *used, const char *before, const char *text)
{
	int length = snprintf(options + *used, size - *used, "%s%s", before, text);

	if (length < 0 || (size_t)length >= size - *used)
		return false;
	*used += (size_t)length;
	return true;
}

static bool add_path(char *options, size_t size, size_t *used, const char *before, const char *path)
{
	char text[2 * PATH_MAX];

	escape(text, path, "\\:,");
	return add(options, size, used, before, text);
}

int overlay_attach_by_string(const struct overlay_spec *overlay, const char *target, struct error *err)
{
	char options[4096]; /* copy_mount_options takes one page, the last byte of it NUL */
	size_t used = 0;
	bool fits = true;
	int fd;

	for (size_t i = 0; i < overlay->lower_count; i++)
		fits = fits && add_path(options, sizeof(options), &used, i == 0 ? "lowerdir=" : ":", overlay->lower[i]);
	if (overlay->upper != NULL)
		fits = fits && add_path(options, sizeof(options), &used, ",upperdir=", overlay->upper) &&
		       add_path(options, sizeof(options), &used, ",workdir=", overlay->work);
	for (size_t i = 0; i < sizeof(fixed_options) / sizeof(fixed_options[0]); i++)
		fits = fits && add(options, sizeof(options), &used, ",", fixed_options[i][0]) &&
		       add(options, sizeof(options), &used, "=", fixed_options[i][1]);
	fits = fits && (!overlay->is_volatile || add(options, sizeof(options), &used, ",", "volatile"));
	if (!fits)
		return error_set(err, E2BIG, "rootfs", overlay->upper,
				 "the paths of %zu layers do not fit into one page, and this kernel (before 6.8) takes "
				 "them in no other way",
				 overlay->lower_count);
	if (mount("overlay", target, "overlay", 0, options) < 0)
		return error_errno(err, "rootfs", label(overlay), "cannot mount the overlay");
	fd = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "rootfs", target, "cannot open the overlay") : fd;
}

static int attach_by_descriptor(const struct overlay_spec *overlay, const char *target, int target_fd, struct error *err)
{
	int fd = make_detached(overlay, err);
	int ret;

	if (fd == -EINVAL && clear_volatile_mark(overlay))
		fd = make_detached(overlay, err);
	if (fd < 0)
		return fd;
	ret = filesystem_attach(fd, target_fd);
	if (ret == 0)
		return fd;
	close(fd);
	errno = -ret;
	return error_errno(err, "rootfs", target, "cannot attach the overlay");
}

bool overlay_needs_string(const char *release)
{
	unsigned int major = 0;
	unsigned int minor = 0;

	return sscanf(release, "%u.%u", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 8));
}

/*
 * "lowerdir+" came with 6.8. Asking an older kernel for it would fill its log: it complains, and below 6.5
 * even takes the option and fails only when the filesystem is made. But a distribution may have brought it
 * to an older one, so where the string is too short it is tried all the same.
 */
int overlay_attach_plain(const struct overlay_spec *overlay, const char *target, int target_fd, struct error *err)
{
	struct utsname system;
	struct error second;
	int fd;
	int ret;

	if (uname(&system) < 0 || !overlay_needs_string(system.release))
		return attach_by_descriptor(overlay, target, target_fd, err);
	ret = overlay_attach_by_string(overlay, target, err);
	if (ret == -EINVAL && clear_volatile_mark(overlay))
		ret = overlay_attach_by_string(overlay, target, err);
	if (ret != -E2BIG)
		return ret;
	fd = attach_by_descriptor(overlay, target, target_fd, &second);
	return fd >= 0 ? fd : ret;
}
