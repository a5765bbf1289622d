// Many tasks at once: says how many rows are picked; on the page that tells how far it is, goes on by itself.

const number = document.getElementById("bulk-number");
const count = () => {
  const picked = document.querySelectorAll(".pick:checked").length;
  number.textContent = picked === 1 ? "1 task picked" : `${picked} tasks picked`;
};
if (number) document.addEventListener("change", (event) => event.target.matches(".pick") && count());

document.getElementById("go-on")?.requestSubmit();
