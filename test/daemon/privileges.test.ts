import { spawnSync } from 'node:child_process';
import t from 'tap';

/** Makes a user namespace, which needs no right, by the system call and by the flag of clone(2). */
const ESCAPES = `
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, SIGCHLD = 0x10000000, 17
child = libc.syscall({'x86_64': 56, 'aarch64': 220}[platform.machine()], CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)
if child == 0: os._exit(0)
print('clone', os.strerror(ctypes.get_errno()) if child < 0 else 'works')
print('unshare', os.strerror(ctypes.get_errno()) if libc.unshare(CLONE_NEWUSER) < 0 else 'works')`;

t.test('system calls that a tunnel never makes are refused to it and to its children', async (t) => {
  const privileges = new URL('../../src/daemon/privileges.js', import.meta.url).href;
  const program = `
    const { spawnSync } = await import('node:child_process');
    const { dropPrivileges } = await import('${privileges}');
    const escape = () => spawnSync('python3', ['-c', process.argv[1]], { encoding: 'utf8' }).stdout;
    console.log('before:\\n' + escape());
    console.log(dropPrivileges('packet'));
    console.log('after:\\n' + escape());`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, ESCAPES], {
    encoding: 'utf8',
  });
  const [before, after] = stdout.split(/privileges: .*/);
  if (!before!.includes('unshare works'))
    t.comment(`user namespaces are not to be had here anyway: ${before} ${stderr}`);
  t.match(after, /clone Operation not permitted/);
  t.match(after, /unshare Operation not permitted/);
});
