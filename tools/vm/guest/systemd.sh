# Makes systemd boot to one target: the basics, D-Bus and the command. Services of the outer machine stay off, and
# its mounts (fstab) too.
units=/run/systemd/system
mkdir -p "$units"
: >/etc/fstab
cat >"$units/berth-vm.service" <<END
[Unit]
Description=The command for which this machine was started
Requires=dbus.service
After=basic.target dbus.service
[Service]
Type=exec
# All controllers in its cgroup and in all above.
Delegate=yes
ExecStart=/bin/sh /run/berth-vm/run-command.sh
ExecStopPost=/bin/sh /run/berth-vm/power-off.sh
TimeoutStopSec=infinity
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=1048576
END
cat >"$units/berth-vm.target" <<END
[Unit]
Description=What the command needs
Requires=basic.target dbus.service
Wants=berth-vm.service
After=basic.target
AllowIsolate=yes
END
ln -sf "$units/berth-vm.target" "$units/default.target"
# What takes long in an emulated machine and serves nobody here, or is done already.
for unit in apparmor.service systemd-timesyncd.service systemd-networkd.service systemd-networkd.socket \
	systemd-resolved.service systemd-random-seed.service systemd-hwdb-update.service systemd-journal-flush.service \
	systemd-journal-catalog-update.service systemd-update-utmp.service systemd-pstore.service ldconfig.service \
	systemd-machine-id-commit.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
	systemd-modules-load.service systemd-remount-fs.service systemd-sysusers.service kmod-static-nodes.service \
	modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
	modprobe@fuse.service modprobe@loop.service sys-kernel-config.mount sys-fs-fuse-connections.mount; do
	ln -sf /dev/null "$units/$unit"
done
