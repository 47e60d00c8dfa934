#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/scope.h"

#define STEP "state"

void attachment_name(struct attachment *attachment, const char *container, const char *interface)
{
	/* FNV-1a: short and steady; it need not be strong, as a clash is an error of ADD. */
	uint64_t hash = UINT64_C(14695981039346656037);

	*attachment = (struct attachment){ 0 };
	snprintf(attachment->container, sizeof(attachment->container), "%s", container);
	snprintf(attachment->interface, sizeof(attachment->interface), "%s", interface);
	for (const char *part = container; part != NULL; part = part == container ? interface : NULL) {
		for (const char *at = part; *at != '\0'; at++)
			hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
		hash = (hash ^ '/') * UINT64_C(1099511628211);
	}
	snprintf(attachment->host_interface, sizeof(attachment->host_interface), "veth%011llx",
		 (unsigned long long)(hash >> 20));
}

static int make_path(const char *path, struct error *err)
{
	char partial[4096];

	for (const char *at = path + 1;; at++) {
		if (*at != '/' && *at != '\0')
			continue;
		snprintf(partial, sizeof(partial), "%.*s", (int)(at - path), path);
		if (mkdir(partial, 0700) < 0 && errno != EEXIST)
			return error_errno(err, STEP, partial, "cannot make the directory");
		if (*at == '\0')
			return 0;
	}
}

int store_open(const struct config *config, struct store *store, struct error *err)
{
	char path[4096];

	*store = (struct store){ -1, -1, -1 };
	snprintf(path, sizeof(path), "%s/%s/attachments", config->data_dir, config->name);
	store->attachments = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->attachments < 0 && errno == ENOENT) {
		int result = make_path(path, err);
		if (result < 0)
			return result;
		store->attachments = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (store->attachments >= 0)
		store->directory = openat(store->attachments, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->directory >= 0)
		store->lock = openat(store->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->lock < 0) {
		int result = error_errno(err, STEP, path, "cannot open the directory of the network");
		store_close(store);
		return result;
	}
	return 0;
}

void store_close(struct store *store)
{
	scope_close_fd(&store->attachments);
	scope_close_fd(&store->directory);
	scope_close_fd(&store->lock);
	*store = (struct store){ -1, -1, -1 };
}

int store_lock(struct store *store, struct error *err)
{
	if (TEMP_FAILURE_RETRY(flock(store->lock, LOCK_EX)) < 0)
		return error_errno(err, STEP, "lock", "cannot take the lock");
	return 0;
}

void store_unlock(struct store *store)
{
	flock(store->lock, LOCK_UN);
}

static void owner_text(const struct attachment *attachment, char *text, size_t size)
{
	snprintf(text, size, "%s %s", attachment->container, attachment->interface);
}

static bool owned(int directory, const char *name, const struct attachment *attachment)
{
	char owner[300], content[300] = { 0 };
	scope_fd int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	owner_text(attachment, owner, sizeof(owner));
	return fd >= 0 && read(fd, content, sizeof(content) - 1) >= 0 && strcmp(owner, content) == 0;
}

/* 1: taken now; 0: in use by somebody. */
static int take(struct store *store, const char *name, const struct attachment *attachment, struct error *err)
{
	char owner[300];
	scope_fd int fd = openat(store->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : error_errno(err, STEP, name, "cannot note the address");
	owner_text(attachment, owner, sizeof(owner));
	if (write(fd, owner, strlen(owner)) != (ssize_t)strlen(owner)) {
		int result = error_errno(err, STEP, name, "cannot note the address");
		unlinkat(store->directory, name, 0);
		return result;
	}
	return 1;
}

static void read_last(struct store *store, unsigned int set, struct address *last)
{
	char name[16], text[INET6_ADDRSTRLEN] = { 0 };
	snprintf(name, sizeof(name), "last.%u", set);
	scope_fd int fd = openat(store->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || !address_parse(text, last))
		*last = (struct address){ .family = AF_UNSPEC };
}

/* Losing it costs no more than starting again from the first address. */
static void write_last(struct store *store, unsigned int set, const char *text)
{
	char name[16];
	snprintf(name, sizeof(name), "last.%u", set);
	scope_fd int fd = openat(store->directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		unlinkat(store->directory, name, 0);
}

static bool usable(const struct range *range, unsigned __int128 number)
{
	unsigned __int128 base = address_number(&range->subnet);
	unsigned __int128 top = base | ~address_mask(range->subnet.family, range->prefix);
	if (range->subnet.family == AF_INET)
		top &= 0xffffffffu;
	return number != base && number != address_number(&range->gateway) && (range->subnet.family != AF_INET || number != top);
}

/* 1: found; 0: all in use. Starts behind the address given last and goes round once. */
static int reserve_in(struct store *store, const struct range *range, struct attachment *attachment, struct error *err)
{
	char text[INET6_ADDRSTRLEN];
	struct address last;
	unsigned __int128 first = address_number(&range->first);
	unsigned __int128 count = address_number(&range->last) - first + 1;
	unsigned __int128 start = 0;

	read_last(store, range->set, &last);
	if (last.family == range->first.family && address_number(&last) >= first &&
	    address_number(&last) <= address_number(&range->last))
		start = address_number(&last) - first + 1;
	for (unsigned __int128 i = 0; i < count; i++) {
		unsigned __int128 number = first + (start + i) % count;
		if (!usable(range, number))
			continue;
		struct address address = address_from_number(range->first.family, number);
		int taken = take(store, address_text(&address, text), attachment, err);
		if (taken < 0)
			return taken;
		if (taken == 0)
			continue;
		attachment->addresses[attachment->address_count++] = address;
		write_last(store, range->set, text);
		return 1;
	}
	return 0;
}

int store_reserve(struct store *store, const struct config *config, struct attachment *attachment, struct error *err)
{
	for (unsigned int set = 0; set < MAX_SETS; set++) {
		int found = -1;
		for (unsigned int i = 0; i < config->range_count; i++) {
			if (config->ranges[i].set != set || found == 1)
				continue;
			found = reserve_in(store, &config->ranges[i], attachment, err);
			if (found < 0)
				return found;
		}
		if (found == 0)
			return error_set(err, ENOSPC, "addresses", config->name, "no address is free in the network %s",
					 config->name);
	}
	return 0;
}

static int release_all_of(struct store *store, const struct attachment *attachment, struct error *err)
{
	int copy = openat(store->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	struct address address;

	if (directory == NULL)
		return error_errno(err, STEP, "", "cannot list the addresses");
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (address_parse(entry->d_name, &address) && owned(store->directory, entry->d_name, attachment) &&
		    unlinkat(store->directory, entry->d_name, 0) < 0 && errno != ENOENT)
			return error_errno(err, STEP, entry->d_name, "cannot release the address");
	}
	return 0;
}

static void record_name(const struct attachment *attachment, char *name, size_t size)
{
	snprintf(name, size, "%s-%s", attachment->container, attachment->interface);
}

int store_release(struct store *store, const struct attachment *attachment, struct error *err)
{
	char text[INET6_ADDRSTRLEN], name[300];

	for (unsigned int i = 0; i < attachment->address_count; i++) {
		const char *file = address_text(&attachment->addresses[i], text);
		if (owned(store->directory, file, attachment) && unlinkat(store->directory, file, 0) < 0 && errno != ENOENT)
			return error_errno(err, STEP, file, "cannot release the address");
	}
	/* Without a record an ADD may have died between the address and the record. */
	if (attachment->address_count == 0) {
		int result = release_all_of(store, attachment, err);
		if (result < 0)
			return result;
	}
	record_name(attachment, name, sizeof(name));
	if (unlinkat(store->attachments, name, 0) < 0 && errno != ENOENT)
		return error_errno(err, STEP, name, "cannot remove the record");
	return 0;
}

bool store_known(struct store *store, const struct attachment *attachment)
{
	char name[300];
	record_name(attachment, name, sizeof(name));
	return faccessat(store->attachments, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static json_t *to_json(const struct attachment *attachment)
{
	char text[INET6_ADDRSTRLEN];
	json_t *json = json_pack("{s:s, s:s, s:s, s:[], s:[]}", "containerId", attachment->container, "interface",
				 attachment->interface, "hostInterface", attachment->host_interface, "addresses", "ports");
	for (unsigned int i = 0; i < attachment->address_count; i++)
		json_array_append_new(json_object_get(json, "addresses"),
				      json_string(address_text(&attachment->addresses[i], text)));
	for (unsigned int i = 0; i < attachment->port_count; i++)
		json_array_append_new(json_object_get(json, "ports"), port_to_json(&attachment->ports[i]));
	return json;
}

int store_save(struct store *store, const struct attachment *attachment, struct error *err)
{
	char name[300], temporary[310];
	json_t *json = to_json(attachment);

	record_name(attachment, name, sizeof(name));
	snprintf(temporary, sizeof(temporary), ".%s", name);
	scope_fd int fd = openat(store->attachments, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* json_dumpfd would write token by token. */
	scope_free char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (fd < 0 || text == NULL || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || renameat(store->attachments, temporary, store->attachments, name) < 0)
		return error_errno(err, STEP, name, "cannot write the record");
	return 0;
}

static int from_json(json_t *json, struct attachment *attachment, struct error *err)
{
	size_t index;
	json_t *item;

	json_array_foreach(json_object_get(json, "addresses"), index, item) {
		const char *text = json_string_value(item);
		if (index >= MAX_SETS || text == NULL || !address_parse(text, &attachment->addresses[index]))
			return -EINVAL;
		attachment->address_count++;
	}
	json_array_foreach(json_object_get(json, "ports"), index, item) {
		if (index >= MAX_PORTS || port_from_json(item, &attachment->ports[index], err) < 0)
			return -EINVAL;
		attachment->port_count++;
	}
	return json_is_object(json) ? 0 : -EINVAL;
}

int store_load(struct store *store, struct attachment *attachment, struct error *err)
{
	char name[300];
	record_name(attachment, name, sizeof(name));
	scope_fd int fd = openat(store->attachments, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : error_errno(err, STEP, name, "cannot open the record");
	json_t *json = json_loadfd(fd, 0, NULL);
	int result = from_json(json, attachment, err);
	json_decref(json);
	return result < 0 ? error_set(err, EINVAL, STEP, name, "the record of this attachment is damaged") : 0;
}

int store_each(struct store *store, store_visitor visit, void *argument, struct error *err)
{
	int copy = openat(store->attachments, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *directory = copy < 0 ? NULL : fdopendir(copy);

	if (directory == NULL)
		return error_errno(err, STEP, "", "cannot list the attachments");
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		char container[256];
		struct attachment attachment;
		/* Interfaces may have a dash in them and container ids too: the record knows which is which. */
		scope_fd int fd = openat(store->attachments, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		json_t *json = entry->d_name[0] == '.' || fd < 0 ? NULL : json_loadfd(fd, 0, NULL);
		const char *id = json_string_value(json_object_get(json, "containerId"));
		const char *interface = json_string_value(json_object_get(json, "interface"));
		int result = 0;
		if (id != NULL && interface != NULL) {
			snprintf(container, sizeof(container), "%s", id);
			attachment_name(&attachment, container, interface);
			result = visit(&attachment, argument, err);
		}
		json_decref(json);
		if (result < 0)
			return result;
	}
	return 0;
}
