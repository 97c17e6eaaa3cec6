// node carry.cjs NODEMAILER PORT SESSIONS COUNT FILE: as benchmarks/carry.py, with nodemailer's own pool.
const [library, port, sessions, count, file] = process.argv.slice(2);
const raw = require("fs").readFileSync(file);
const pool = require(library).createTransport({
  host: "127.0.0.1", port: Number(port), secure: false, ignoreTLS: true,
  pool: true, maxConnections: Number(sessions), maxMessages: Infinity,
});

async function carry() {
  let next = 0;
  const session = async () => {
    while (next < Number(count)) {
      const number = next++;
      const envelope = { from: `notice-${number}@bench.example`, to: `user${number}@people.example` };
      await pool.sendMail({ envelope, raw });
    }
  };
  await Promise.all(Array.from({ length: Number(sessions) }, session));
  pool.close();
}

console.log("ready");
process.stdin.once("data", async () => {
  const before = process.cpuUsage();
  await carry();
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ cpu: (user + system) / 1e6 }));
  process.exit(0);
});
