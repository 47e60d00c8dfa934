/* One more process in a running container. */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apparmor.h"
#include "become.h"
#include "command.h"
#include "credentials.h"
#include "descriptors.h"
#include "environment.h"
#include "namespaces.h"

int setup_exec(const struct bundle *bundle, const struct setup_result *container, int container_pidfd,
	       const struct exec_request *request, struct error *err)
{
	const struct process_spec *process = &bundle->process;
	char path[PATH_MAX];
	char **env;
	int ret;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* Before the mount namespace is joined: from then on the container's processes see this one in /proc. */
	descriptors_drop_files(container_pidfd);
	if (process->apparmor != NULL && (ret = apparmor_on_exec(process->apparmor, err)) < 0)
		return ret;
	/* All in one call, or none: root and working directory come with the mount namespace. */
	if (setns(container_pidfd, namespaces_of_container(bundle)) < 0)
		return error_errno(err, "namespace", "", "cannot join the container's namespaces");
	umask(0);
	if ((ret = become_session_leader(request->terminal, err)) < 0 ||
	    (ret = become_container_process(process, &container->user,
					    bundle_has_user_namespace(bundle) ? container_pidfd : -1, err)) < 0)
		return ret;
	close(container_pidfd);
	if ((ret = environment_make(process, &container->user, request->terminal, &env, err)) < 0 ||
	    (ret = command_find(request->args[0], env, true, path, err)) < 0)
		return ret;
	become_ready_to_execute();
	if ((ret = credentials_confine(process, err)) < 0)
		return ret;
	return command_execute(path, request->args, env, err);
}
