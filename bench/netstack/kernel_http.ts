/** Node's web server on the kernel's TCP: `kernel_http.js ADDRESS`. */
import { HTTP_PORT, webServer } from './services.js';

webServer().listen(HTTP_PORT, process.argv[2], () => process.stderr.write('ready\n'));
