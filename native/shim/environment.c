#include "environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *environment_get(char *const *env, const char *name)
{
	size_t length = strlen(name);
	const char *value = NULL;

	for (; *env != NULL; env++)
		if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
			value = *env + length + 1;
	return value;
}

int environment_make(const struct process_spec *process, const struct resolved_user *user, bool terminal, char ***out,
		     struct error *err)
{
	size_t count = process->env_count;
	char **env = malloc((count + 3) * sizeof(char *));
	char *home;

	if (env == NULL)
		return error_set(err, ENOMEM, "exec", "", "no memory for the environment");
	memcpy(env, process->env, count * sizeof(char *));
	env[count] = NULL;
	if (terminal && environment_get(process->env, "TERM") == NULL) {
		env[count++] = (char *)"TERM=xterm";
		env[count] = NULL;
	}
	if (environment_get(process->env, "HOME") == NULL) {
		if (asprintf(&home, "HOME=%s", user->home) < 0) {
			free(env);
			return error_set(err, ENOMEM, "exec", "", "no memory for the environment");
		}
		env[count++] = home;
		env[count] = NULL;
	}
	*out = env;
	return 0;
}
