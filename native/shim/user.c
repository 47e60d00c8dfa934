#include "user.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "accounts.h"

#define PASSWD "/etc/passwd"
#define GROUP "/etc/group"
#define NAME_SIZE 256

/* The spec taken apart, and what the accounts add to it. */
struct search {
	char user[NAME_SIZE];
	char group[NAME_SIZE]; /* empty: not given */
	bool user_by_id;
	bool found;
	char name[NAME_SIZE]; /* the account's, empty where there is none */
	long long uid;
	long long gid;
	struct resolved_user *result;
	bool overflow;
};

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
}

static bool has_group(const struct resolved_user *user, gid_t gid)
{
	for (int i = 0; i < user->group_count; i++)
		if (user->groups[i] == gid)
			return true;
	return false;
}

static bool add_group(struct resolved_user *user, gid_t gid)
{
	if (has_group(user, gid))
		return true;
	if (user->group_count == MAX_GROUPS)
		return false;
	user->groups[user->group_count++] = gid;
	return true;
}

static int split_spec(const char *spec, struct search *search, struct error *err)
{
	const char *colon = strchr(spec, ':');
	size_t length = colon == NULL ? strlen(spec) : (size_t)(colon - spec);

	if (length >= sizeof(search->user) || (colon != NULL && strlen(colon + 1) >= sizeof(search->group)))
		return error_set(err, EINVAL, "user", spec, "the name of a user or group is at most %d bytes long",
				 NAME_SIZE - 1);
	memcpy(search->user, spec, length);
	search->user[length] = '\0';
	/* An image without a user runs as root. */
	if (length == 0)
		copy(search->user, sizeof(search->user), "0");
	copy(search->group, sizeof(search->group), colon == NULL ? "" : colon + 1);
	return 0;
}

/* Digits only are an id, never a name; too large a one is an error, not somebody else. */
static int parse_id(const char *spec, const char *text, bool *is_id, long long *id, struct error *err)
{
	*is_id = text[strspn(text, "0123456789")] == '\0';
	if (*is_id && !account_id(text, id))
		return error_set(err, ERANGE, "user", spec, "id %s is beyond %lld", text, MAX_ID);
	if (!*is_id && (text[0] == '-' || text[0] == '+') && text[1 + strspn(text + 1, "0123456789")] == '\0')
		return error_set(err, ERANGE, "user", spec, "id %s is not one", text);
	return 0;
}

static int visit_passwd(const struct account *account, void *context, struct error *err)
{
	struct search *search = context;
	long long uid;
	long long gid;
	bool valid;

	if (account->count < 4 || account->fields[0][0] == '\0')
		return 0;
	valid = account_id(account->fields[2], &uid) && account_id(account->fields[3], &gid);
	if (search->user_by_id ? !valid || uid != search->uid : strcmp(account->fields[0], search->user) != 0)
		return 0;
	if (!valid)
		return error_set(err, EINVAL, "user", search->user, "its line in " PASSWD " has an id that is none");
	search->found = true;
	search->uid = uid;
	search->gid = gid;
	if (strlen(account->fields[0]) < sizeof(search->name))
		copy(search->name, sizeof(search->name), account->fields[0]);
	if (account->count > 5 && account->fields[5][0] == '/' &&
	    strlen(account->fields[5]) < sizeof(search->result->home))
		copy(search->result->home, sizeof(search->result->home), account->fields[5]);
	return 1;
}

static int visit_group_name(const struct account *account, void *context, struct error *err)
{
	struct search *search = context;

	if (account->count < 3 || strcmp(account->fields[0], search->group) != 0)
		return 0;
	if (!account_id(account->fields[2], &search->gid))
		return error_set(err, EINVAL, "user", search->group, "its line in " GROUP " has an id that is none");
	search->found = true;
	return 1;
}

static bool lists_member(char *members, const char *name)
{
	char *rest = NULL;

	for (char *member = strtok_r(members, ",", &rest); member != NULL; member = strtok_r(NULL, ",", &rest))
		if (strcmp(member, name) == 0)
			return true;
	return false;
}

static int visit_membership(const struct account *account, void *context, struct error *err)
{
	struct search *search = context;
	long long gid;

	(void)err;
	if (account->count < 4 || !account_id(account->fields[2], &gid))
		return 0;
	if (!lists_member(account->fields[3], search->name) || add_group(search->result, (gid_t)gid))
		return 0;
	search->overflow = true;
	return 1;
}

static int find_user(const char *spec, int root, struct search *search, struct error *err)
{
	int ret = parse_id(spec, search->user, &search->user_by_id, &search->uid, err);

	if (ret < 0 || (ret = accounts_visit(root, PASSWD, visit_passwd, search, err)) < 0)
		return ret;
	if (!search->found && !search->user_by_id)
		return error_set(err, ENOENT, "user", spec, "no user \"%s\" in the image's " PASSWD, search->user);
	return 0;
}

static int find_group(const char *spec, int root, struct search *search, struct error *err)
{
	bool is_id;
	int ret;

	if (search->group[0] == '\0')
		return 0;
	ret = parse_id(spec, search->group, &is_id, &search->gid, err);
	if (ret < 0 || is_id)
		return ret;
	search->found = false;
	if ((ret = accounts_visit(root, GROUP, visit_group_name, search, err)) < 0)
		return ret;
	if (!search->found)
		return error_set(err, ENOENT, "user", spec, "no group \"%s\" in the image's " GROUP, search->group);
	return 0;
}

/*
 * The primary group is also a supplementary one: otherwise a set-group-id program would let the process
 * leave it, and with that any permission that its group is denied.
 */
static int collect_groups(const struct user_policy *policy, int root, struct search *search, struct error *err)
{
	struct resolved_user *user = search->result;
	int ret;

	add_group(user, user->gid);
	for (size_t i = 0; i < policy->group_count; i++)
		search->overflow = !add_group(user, policy->groups[i]) || search->overflow;
	if (!policy->strict && search->name[0] != '\0' &&
	    (ret = accounts_visit(root, GROUP, visit_membership, search, err)) < 0)
		return ret;
	if (search->overflow)
		return error_set(err, E2BIG, "user", policy->spec, "in more than %d groups", MAX_GROUPS);
	return 0;
}

static int resolve_policy(const struct user_policy *policy, int root, struct search *search, struct error *err)
{
	struct resolved_user *user = search->result;
	int ret;

	if ((ret = split_spec(policy->spec, search, err)) < 0 || (ret = find_user(policy->spec, root, search, err)) < 0 ||
	    (ret = find_group(policy->spec, root, search, err)) < 0)
		return ret;
	user->uid = (uid_t)search->uid;
	user->gid = (gid_t)(policy->group >= 0 ? policy->group : search->gid);
	return collect_groups(policy, root, search, err);
}

/* A plain OCI bundle says exactly who; the accounts only know the home directory. */
static int resolve_plain(const struct process_spec *process, int root, struct search *search, struct error *err)
{
	struct resolved_user *user = search->result;
	int ret;

	search->user_by_id = true;
	search->uid = process->uid;
	if ((ret = accounts_visit(root, PASSWD, visit_passwd, search, err)) < 0)
		return ret;
	user->uid = process->uid;
	user->gid = process->gid;
	for (size_t i = 0; i < process->group_count; i++)
		add_group(user, process->groups[i]);
	return 0;
}

int user_resolve(const struct bundle *bundle, int root, struct resolved_user *user, struct error *err)
{
	struct search search = { .result = user };

	memset(user, 0, sizeof(*user));
	copy(user->home, sizeof(user->home), "/");
	return bundle->user != NULL ? resolve_policy(bundle->user, root, &search, err) :
				      resolve_plain(&bundle->process, root, &search, err);
}
