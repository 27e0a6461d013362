#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every function that libc exports is wrapped, passed or denied, and somebody decided so.

symbols.py check TABLE LIBRARY [MAP]   fails on an unclassified symbol, on a row that does not fit
                                       the library's exports, and on a map that does not
symbols.py generate TABLE LIBRARY      writes the table for this machine's libc; what no rule knows
                                       is written as "unclassified" and fails the check

TABLE has the rows "symbol TAB class TAB reason", sorted. `wrap`: the shim replaces it. `deny`: the
shim replaces it by a function that fails. `pass`: libc's own, and the reason why that is right.
Symbols of other libc versions: a row whose symbol this libc lacks is fine; a symbol without a row is
an error when it belongs to a family that the shim must know (FAMILIES), a remark otherwise.
"""
import re
import subprocess
import sys

# Names whose appearance in a newer libc must not go unnoticed.
FAMILIES = re.compile(
    r"^(__)?(sock|bind|connect|accept|listen|shutdown|send|recv|getsock|setsock|getpeer|"
    r"gethost|getaddrinfo|getname|freeaddr|res_|getif|freeif|if_|ioctl|exec|posix_spawn|"
    r"spawn|fexec|vfork|fork|clone|popen|system|wordexp|read|write|getnet|rcmd|rexec|rresv|"
    r"clnt|svc|pmap|uname|close|dup|fcntl|open|creat|stat|lstat|fstat|access|link|symlink|"
    r"unlink|rename|mkdir|mkfifo|mknod|mk.*temp|kill|sigqueue|pidfd|ptrace|process_vm|shm|sem|"
    r"msg|mq_|io_uring)")

# The first rule that matches names the reason of a passed symbol.
RULES = [
    (r"^(__)?(open|openat|creat|fopen|freopen|opendir|fdopendir|scandir|stat|lstat|fstat|fstatat|"
     r"[fl]?xstat.*|[fl]xstatat.*|xmknod.*|statx|statfs|fstatfs|statvfs|fstatvfs|access|faccessat|"
     r"eaccess|euidaccess|readlink|readlinkat|realpath|canonicalize_file_name|getcwd|getwd|"
     r"get_current_dir_name|chdir|fchdir|chroot|link|linkat|symlink|symlinkat|unlink|unlinkat|"
     r"rename|renameat|renameat2|remove|mkdir|mkdirat|rmdir|mkfifo|mkfifoat|mknod|mknodat|"
     r"mk.*temp.*|tempnam|tmpnam.*|tmpfile|chmod|fchmod|lchmod|fchmodat|chown|lchown|fchown|"
     r"fchownat|utime|utimes|lutimes|futimes|futimesat|utimensat|futimens|truncate|ftruncate|"
     r".*xattr|glob.*|ftw|nftw|fts_.*|fts64_.*|inotify_.*|fanotify_.*|name_to_handle_at|"
     r"open_by_handle_at|ftok|ttyname.*|cat(open|gets|close)|iconv.*|utmp.*|u?mount.*|umount2|"
     r"swapon|swapoff|quotactl|acct|pivot_root|fsopen|fsmount|fsconfig|fspick|move_mount|"
     r"open_tree|mount_setattr|lockf|flock|fallocate|posix_fallocate|posix_fadvise|sync_file_range|"
     r"syncfs|fsync|fdatasync|sync|readahead|copy_file_range|memfd_create|euidaccess|pathconf|"
     r"fpathconf|nfsservctl|uselib|revoke|vhangup|lckpwdf|ulckpwdf|bindtextdomain|"
     r"isatty|dirfd|readdir.*|rewinddir|seekdir|telldir|closedir|alphasort.*|versionsort.*|"
     r"getdirentries|getdents64|dir(name)?|scandirat|fgetpos|getmntent.*|setmntent|endmntent|"
     r"addmntent|hasmntopt|posix_openpt|grantpt|unlockpt|ptsname.*|getpt|openpty|forkpty|"
     r"login_tty|login|logout|logwtmp)(64)?(_2|_r|_chk|v2)?(_time64)?$", "file space"),
    (r"^(__)?(kill|killpg|tgkill|pthread_kill.*|sigqueue|pthread_sigqueue|raise|pidfd_.*|ptrace|"
     r"process_.*|setpriority|getpriority|nice|sched_.*|prlimit|setrlimit|getrlimit|shm.*|sem.*|"
     r"msg.*|mq_.*|wait.*|setpgid|getpgid|setsid|getsid|setpgrp|getpgrp|tcsetpgrp|tcgetpgrp|"
     r"vlimit|vtimes|ulimit|getrusage|getpid|getppid|gettid)(64)?(_time64)?$", "process space"),
    (r"^(fork|_Fork|__fork|__libc_fork|vfork|__vfork|clone|__clone|unshare|setns|daemon|"
     r"pthread_atfork|__register_atfork|arc4random.*)$",
     "shim state survives fork and is not touched between vfork and exec"),
    (r"^posix_spawn.*$", "only prepares a spawn"),
    (r"^(dup|dup2|dup3|__dup2|fcntl|fcntl64|__fcntl|close|__close|close_range|closefrom|fclose|"
     r"fdopen|isfdtype|sockatmark|poll|__poll.*|ppoll.*|__ppoll.*|select|pselect|__select|epoll_.*|"
     r"__fdelt.*|eventfd.*|timerfd.*|signalfd|splice|vmsplice|tee|sendfile|sendfile64|write|"
     r"__write|writev|pwrite.*|__pwrite64|pread.*|__pread.*|preadv.*|pwritev.*|pipe|pipe2|__pipe|"
     r"aio_.*|lio_listio.*|lseek.*|__lseek|llseek)$",
     "the socket is an AF_UNIX stream of the kernel, its state lives in it"),
    (r"^(syscall)$", "the seal's job"),
    (r"^(gai_.*|freeaddrinfo|h_errlist|h_nerr|__h_errno_location|herror|hstrerror|h_errno)$",
     "works on what the shim hands out"),
    (r"^(res_init|__res_init|__res_ninit|__res_nclose|__res_state|__res_randomid|_res.*|"
     r"(__)?res_n?mkquery|(__)?res_(dn|hn|mail|own)ok|dn_.*|__dn_.*|ns_.*|__p_.*|__fp_.*|__sym_.*|"
     r"__dn_comp|__loc_.*|__hostalias|__putlong|__putshort|_getlong|_getshort|inet_.*|inet6_.*|"
     r"in6addr_.*|ntoh.|hton.|ether_.*|__inet_.*)$", "computes only"),
    (r"^(getserv.*|setservent|endservent|getproto.*|setprotoent|endprotoent|getrpc.*|setrpcent|"
     r"endrpcent|setnetent|endnetent|getnetent.*|getalias.*|setaliasent|endaliasent|"
     r"getpw.*|setpwent|endpwent|putpwent|fgetpw.*|getgr.*|setgrent|endgrent|putgrent|fgetgr.*|"
     r"initgroups|getsp.*|setspent|endspent|putspent|fgetsp.*|sgetsp.*|getsg.*|setsgent|endsgent|"
     r"putsgent|fgetsg.*|sgetsg.*|innetgr|getnetgrent.*|setnetgrent|endnetgrent|__nss_.*|"
     r"getusershell|setusershell|endusershell|getlogin.*|__getlogin.*|setlogin|cuserid|getfsent|"
     r"getfsfile|getfsspec|setfsent|endfsent|getttyent|getttynam|setttyent|endttyent|getut.*|"
     r"setut.*|endut.*|pututline|pututxline|updwtmp.*|__getgroups_chk|getpass)$",
     "local databases of the file space; no network"),
    (r"^(syslog|vsyslog|openlog|closelog|setlogmask|__syslog_chk|__vsyslog_chk)$",
     "AF_UNIX inside libc: /dev/log"),
    (r"^(getdomainname|__getdomainname_chk)$", "the NIS domain is no part of a portspace"),
    (r"^(clnt.*|svc.*|xdr.*|auth.*|_auth.*|__rpc.*|_rpc.*|rpc_.*|key_.*|_seterr_reply|"
     r"passwd2des|des_setparity|.*_crypt|getnetname|netname2.*|user2netname|host2netname|"
     r"rtime|bindresvport|getpublickey|getsecretkey|getrpcport|authnone_create)$",
     "Sun RPC of old binaries; what opens sockets is denied"),
    (r"^(dl.*|_dl_.*|__libc_dlopen.*|__libc_dlsym|__libc_dlclose)$",
     "loads code; hooks apply to what it loads"),
    (r"^(_IO_.*|__(over|u)flow|.*printf.*|.*scanf.*|f?(put|get)[cs].*|.*unlocked.*|fread.*|fwrite.*|"
     r"fseek.*|ftell.*|fflush.*|setv?buf.*|ungetc.*|std(in|out|err)|clearerr|feof|ferror|fileno|"
     r"rewind|perror|getdelim|getline|getw|putw|pclose|open_memstream|open_wmemstream|fmemopen|"
     r"fopencookie|fcloseall|__f.*|tmpfile|popen|fsetpos.*|get(w)?char.*|put(w)?char.*|gets|"
     r"__gets_chk|__fgets.*|__(is|read|write|purge|flush|pending|overflow|uflow).*)$",
     "stdio; its reads end where the stream ends"),
    (r"^(pthread_.*|__pthread.*|_pthread.*|thrd_.*|mtx_.*|cnd_.*|tss_.*|call_once|__libc_single.*|"
     r"sem_.*|__sched.*|__nptl.*|rseq.*|__rseq.*)$", "threads"),
    (r"^(sig.*|__sig.*|_?_?longjmp.*|_?setjmp|__sigsetjmp|siglongjmp|psignal|psiginfo|bsd_signal|"
     r"gsignal|ssignal|sysv_signal|__sysv_signal|alarm|ualarm|setitimer|getitimer|timer_.*|"
     r"pause|__libc_current_sig.*|__xpg_sig.*|raise|abort)$", "signals of the own process"),
    (r"^(str.*|__str.*|mem.*|__mem.*|wcs.*|__wcs.*|wmem.*|__wmem.*|bcmp|bcopy|bzero|__bzero|"
     r"explicit_bzero|__explicit_bzero.*|index|rindex|is.*|__is.*|to.*|__to.*|_to.*|ffs.*|swab|"
     r"ato.*|__ato.*|bsearch|qsort.*|[lh]?search|lfind|lsearch|insque|remque|t(search|find|delete|"
     r"walk.*|destroy)|.*rand48.*|.*random.*|rand.*|srand.*|a64l|l64a|abs|labs|llabs|imaxabs|div|"
     r"ldiv|lldiv|imaxdiv|[ejn]rand.*|hcreate.*|hdestroy.*|hsearch.*|basename|dirname|"
     r"__xpg_basename|[gps]+cvt.*|q?[ef]cvt.*|gcvt|qgcvt|parse_printf_format|register_printf.*|"
     r"__ctype.*|wct.*|btowc|wctob|mb.*|__mb.*|wcr.*|wcto.*|c(16|32|8)r.*|towc.*|nl_langinfo.*|"
     r"iswc.*|regex.*|re_.*|reg.*|fnmatch|rpmatch|fmtmsg|addseverity|argz_.*|__argz.*|envz_.*|"
     r"err|errx|warn|warnx|v(err|warn).*|error.*|argp_.*|__argp.*|_argp.*|getopt.*|_?_?opt(arg|ind|"
     r"err|opt)|getsubopt|ns_.*|obstack.*|_obstack.*|__obstack.*|copysign.*|frexp.*|ldexp.*|"
     r"modf.*|scalb.*|fin.*|is(nan|inf).*|__signbit.*|ilogb.*|lo(cale.*|gb)|[nfu]?(ew|ree|se|up)?"
     r"(dup)?locale|ftime|[gm]etdate.*|getdate.*|confstr|sysconf|__sysconf|getpagesize|"
     r"gnu_get_lib.*|textdomain|d?c?n?gettext|bind_textdomain.*|dcn?gettext|ngettext|"
     r"dn?gettext|__dc.*|strfry|memfrob|crypt.*|encrypt.*|setkey.*|chacha.*|mcheck.*|mprobe|"
     r"mtrace|muntrace|hol_.*|rawmemchr|tcdrain)$", "computes only"),
    (r"^(malloc.*|free|cfree|calloc|realloc.*|.*memalign|aligned_alloc|valloc|pvalloc|mall.*|"
     r"__malloc.*|__free.*|__realloc.*|__memalign.*|__after_morecore.*|__default_morecore|"
     r"__morecore|mmap.*|munmap|mremap|mprotect|msync|madvise|posix_madvise|mincore|mlock.*|"
     r"munlock.*|remap_file_pages|brk|sbrk|__sbrk|pkey_.*|obstack.*|reallocarray)$", "memory"),
    (r"^(time|.*time.*|clock.*|tz.*|__tz.*|daylight|__daylight|timezone|__timezone|nanosleep|"
     r"__nanosleep|sleep|usleep|stime|adjtime.*|ntp_.*|times|profil|sprofil|gmon.*|mcount|_mcount|"
     r"__fentry__|moncontrol|monstartup|__monstartup|_dl_mcount.*|asctime.*|ctime.*|difftime|"
     r"mktime|dysize)$", "time"),
    (r"^(get[eu]?[ug]id|getres[ug]id|set(e|re|res|fs)?[ug]id|getgroups|setgroups|group_member|"
     r"cap.*|prctl|arch_prctl|personality|ioperm|iopl|modify_ldt|getauxval|__getauxval|secure_.*|"
     r"issetugid|getenv|putenv|setenv|unsetenv|clearenv|environ|_environ|__environ|"
     r"__libc_enable_secure|secure_getenv|__secure_getenv|exit|_exit|_Exit|quick_exit|at_quick_exit|"
     r"on_exit|atexit|__cxa_.*|__libc_start_main|__libc_init_first|__gmon_start__|__assert.*|"
     r"__stack_chk_.*|__chk_fail|__fortify_.*|__stack.*|reboot|sysinfo|sysctl|klogctl|getcpu|"
     r"get_n?av.*|get_nprocs.*|getloadavg|init_module|delete_module|create_module|query_module|"
     r"get_kernel_syms|kexec.*|bdflush|ustat|sysfs|_nl_.*|__libc_.*|backtrace.*|__backtrace.*|"
     r"makecontext|getcontext|setcontext|swapcontext|membarrier|tc(get|set|flow|flush|send).*|"
     r"cf(get|set|make).*|stty|gtty|__errno_location|errno|__errno|sys_errlist|sys_nerr|"
     r"sys_siglist|_sys_.*|sys_sigabbrev|program_invocation.*|__progname.*|__overflow|"
     r"__vfork|__check_rhosts_file|__rcmd_errstr|_flush.*|_toupper|_tolower|__.*_finite|"
     r"getentropy|getrandom|userfaultfd|perf_.*|bpf|seccomp|mempcpy|wordfree|svcfd.*|"
     r"ustat|gethostid|getpw|__uflow|putmsg|putpmsg|getmsg|getpmsg|isastream|fattach|fdetach|"
     r"__arch_prctl|_tolower|_toupper|advance|step|loc1|loc2|locs|re_comp|re_exec|"
     r"_?obstack.*|_mcleanup|__mon.*|__register_frame.*|__deregister_frame.*|__frame_state_for|"
     r"__libc_freeres|__libc_mallopt|__libc_allocate.*|_null_auth|__asprintf.*|__twalk_r|"
     r"__tls_get_addr|__xpg_.*|__getpagesize|__getpid|__getpgid|__gettimeofday|__getdelim|"
     r"__getmntent_r|__setmntent|__endmntent|__setpgid|__statfs|__sbrk|__sys.*|__vsnprintf|"
     r"__wait|__waitpid|__woverflow|__wuflow|__underflow|__wunderflow|setlocale|wprintf|"
     r"sockatmark|isctype|bdflush|ppoll|setcontext)$",
     "own process only"),
    (r"^(get|set)(ipv4)?sourcefilter$", "a socket option that no portspace socket has"),
    (r"^(__key_.*|xdecrypt|xencrypt|xprt_.*|rexecoptions|ruserpass|__ivaliduser|tr_break)$",
     "Sun RPC of old binaries; what opens sockets is denied"),
    (r"^(f?chflags|ctermid|umask|ttyslot)$", "file space"),
    (r"^(f(get|put)w[cs]|[gp][eu]t?wc|ungetwc|putwc|getwc|fwide|f(try)?lockfile|funlockfile|"
     r"setlinebuf)$", "stdio; its reads end where the stream ends"),
    (r"^(_?_?(st|wc)pn?cpy.*|wcwidth|seed48.*|lcong48.*|initstate.*|setstate.*|gnu_dev_.*|"
     r"__(new|dup|use)locale|__nl_langinfo_l|__rawmemchr|__wc.*|__confstr_chk|__dgettext|"
     r"_libc_intl_domainname|__cmsg_nxthdr)$", "computes only"),
    (r"^(__bsd_getpgrp|__curbrk|sstk|__cyg_profile.*|__profile_frequency|__posix_getopt|"
     r"__x86_.*|get_phys_pages|get_avphys_pages|getdtablesize)$", "own process only"),
]


def exports(path):
    """Functions and objects a library exports, without libc's private ones."""
    out = subprocess.run(["readelf", "-W", "--dyn-syms", path], check=True,
                         capture_output=True, text=True).stdout
    found = set()
    for line in out.splitlines():
        f = line.split()
        if len(f) < 8 or f[4] not in ("GLOBAL", "WEAK", "UNIQUE") or f[6] == "UND":
            continue
        name, _, version = f[7].partition("@")
        if f[3] in ("FUNC", "IFUNC", "OBJECT", "NOTYPE", "TLS") and \
                "GLIBC_PRIVATE" not in version and not name.startswith("GLIBC_"):
            found.add(name)
    return found


def libc_path():
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            path = line.split()[-1]
            if re.search(r"/libc[.-][^/]*so", path):
                return path
    sys.exit("symbols: no libc in this process")


def read_table(path):
    table = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if line.startswith("#") or not line.strip():
                continue
            fields = line.rstrip("\n").split("\t")
            if len(fields) != 3 or fields[1] not in ("wrap", "pass", "deny") or not fields[2]:
                sys.exit(f"{path}:{number}: not a row: {line!r}")
            if fields[0] in table:
                sys.exit(f"{path}:{number}: {fields[0]} is there twice")
            table[fields[0]] = (fields[1], fields[2])
    return table


def denied(source):
    with open(source, encoding="utf-8") as f:
        return set(re.findall(r"^DENY\([^,]+, (\w+),", f.read(), re.M)) | {"get_myaddress"}


def hook_files(folder, hooks):
    """Which source file defines a hook: the reason of a wrapped symbol."""
    import glob
    where = {}
    for path in sorted(glob.glob(folder + "/*.c")):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for hook in hooks:
            if re.search(rf"^(HOOK .*\b{hook}\(|[A-Z_]+\((?:[^,()]+, )?{hook}[,)])", text, re.M):
                where[hook] = path.rsplit("/", 1)[-1]
    return where


def generate(table_path, library):
    import os
    folder = os.path.dirname(os.path.abspath(__file__))
    hooks = exports(library)
    deny = denied(folder + "/deny.c")
    where = hook_files(folder, hooks)
    rows = []
    for name in sorted(exports(libc_path()) | hooks):
        if name in hooks:
            kind = "deny" if name in deny else "wrap"
            rows.append((name, kind, where.get(name, "libpersona/preload")))
            continue
        reason = next((r for p, r in RULES if re.match(p, name)), None)
        rows.append((name, "pass" if reason else "unclassified", reason or "?"))
    with open(table_path, "w", encoding="utf-8") as f:
        f.write("# Every symbol of libc: what the preload shim does with it, and where or why.\n"
                "# Made by libpersona/preload/symbols.py generate; checked by the lint tests.\n")
        f.writelines("\t".join(r) + "\n" for r in rows)
    return [r[0] for r in rows if r[1] == "unclassified"]


def check(table_path, library, map_path):
    table = read_table(table_path)
    hooks = exports(library)
    libc = exports(libc_path())
    errors = []
    for name in sorted(libc - set(table)):
        if FAMILIES.match(name):
            errors.append(f"{name}: exported by libc and not classified")
        else:
            print(f"symbols: remark: {name} is not classified")
    rows = {n for n, r in table.items() if r[0] in ("wrap", "deny")}
    errors += [f"{n}: the table says {table[n][0]}, the library does not export it"
               for n in sorted(rows - hooks)]
    errors += [f"{n}: exported by the library, not wrapped or denied in the table"
               for n in sorted(hooks - rows)]
    if map_path:
        with open(map_path, encoding="utf-8") as f:
            listed = set(re.findall(r"^\t(\w+);", f.read(), re.M))
        errors += [f"{n}: in the version script or the library, not in both"
                   for n in sorted(listed ^ hooks)]
    for e in errors:
        print("symbols: error:", e)
    print(f"symbols: {len(rows)} wrapped or denied, {len(table) - len(rows)} passed, "
          f"{len(errors)} errors")
    return 1 if errors else 0


def main(args):
    if len(args) >= 3 and args[0] == "check":
        return check(args[1], args[2], args[3] if len(args) > 3 else None)
    if len(args) == 3 and args[0] == "generate":
        unknown = generate(args[1], args[2])
        print("\n".join(unknown))
        return 1 if unknown else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
