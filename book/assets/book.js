'use strict';

// What mdBook's own scripts lack here. Each part stands alone, and without scripts every page still says all it has to
// say. `cargo test -p book-check website` uses all of it from the keyboard.

// mdBook turns the page at the arrow keys. Where they mean something else, it must not see them.
const keepFromPageTurning = event => event.stopPropagation();

// mdBook opens the sidebar with a label, which only a mouse can reach. A button takes its place.
(function sidebarButton() {
    const label = document.getElementById('mdbook-sidebar-toggle');
    const checkbox = document.getElementById('mdbook-sidebar-toggle-anchor');
    const button = document.createElement('button');
    button.type = 'button';
    button.className = label.className;
    button.title = label.title;
    button.setAttribute('aria-label', label.title);
    button.setAttribute('aria-controls', 'mdbook-sidebar');
    button.append(...label.childNodes);
    const sayState = () => button.setAttribute('aria-expanded', checkbox.checked);
    checkbox.addEventListener('change', sayState);
    sayState();
    button.addEventListener('click', () => label.click());
    label.hidden = true;
    label.after(button);
    // The bar it stands in is where assistive technology looks for it.
    document.getElementById('mdbook-menu-bar').setAttribute('role', 'banner');
})();

// What one types into has a name, and the line that counts the results describes it.
(function searchField() {
    const field = document.getElementById('mdbook-searchbar');
    field.setAttribute('aria-label', 'Search this book');
    field.setAttribute('aria-describedby', 'mdbook-searchresults-header');
})();

// What is wider than its box can be reached with Tab and scrolled with the arrow keys; what fits is no stop on the way.
(function scrollersFromTheKeyboard() {
    const sizes = new ResizeObserver(entries => {
        for (const { target } of entries) {
            if (target.scrollWidth > target.clientWidth) {
                target.tabIndex = 0;
            } else {
                target.removeAttribute('tabindex');
            }
        }
    });
    for (const box of document.querySelectorAll('pre > code, .table-wrapper, figure')) {
        sizes.observe(box);
        box.addEventListener('keydown', event => {
            const sideways = event.key === 'ArrowLeft' || event.key === 'ArrowRight';
            if (sideways && box.tabIndex === 0) {
                keepFromPageTurning(event);
            }
        });
    }
})();

// A stepper is a picture and a list of steps:
//
//     <div class="stepper" aria-label="…"> <figure>…</figure> <ol><li>…</li> …</ol> </div>
//
// One step is shown at a time. What has the step's number in its `data-step` ("2", or "2 3") is highlighted.
(function steppers() {
    const button = (text, action) => {
        const element = document.createElement('button');
        element.type = 'button';
        element.textContent = text;
        element.addEventListener('click', action);
        return element;
    };

    const enhance = stepper => {
        const list = stepper.querySelector(':scope > ol');
        const steps = Array.from(list.children);
        const parts = Array.from(stepper.querySelectorAll('[data-step]'));
        const figure = stepper.querySelector('figure');
        let current = 0;

        const previous = button('Previous', () => show(current - 1));
        const next = button('Next', () => show(current + 1));
        const place = document.createElement('span');
        place.className = 'stepper-place';
        const bar = document.createElement('div');
        bar.className = 'stepper-bar';
        bar.append(previous, next, place);
        // A screen reader says where we are, and the step itself.
        place.setAttribute('aria-live', 'polite');
        list.setAttribute('aria-live', 'polite');
        stepper.setAttribute('role', 'group');
        list.before(bar);

        // On a narrow screen the picture scrolls: what the step is about comes into view, and the page stays.
        const scrollTo = part => {
            if (part) {
                const [inner, outer] = [part.getBoundingClientRect(), figure.getBoundingClientRect()];
                figure.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
            }
        };

        const show = wanted => {
            current = Math.max(0, Math.min(wanted, steps.length - 1));
            steps.forEach((step, index) => {
                step.value = index + 1;
                step.hidden = index !== current;
            });
            for (const part of parts) {
                part.classList.toggle('current', part.dataset.step.split(' ').includes(String(current + 1)));
            }
            scrollTo(parts.find(part => part.classList.contains('current')));
            place.textContent = `Step ${current + 1} of ${steps.length}`;
            // Not `disabled`: that would take the focus from under the reader's fingers.
            previous.setAttribute('aria-disabled', current === 0);
            next.setAttribute('aria-disabled', current === steps.length - 1);
        };

        const keys = {
            ArrowLeft: () => current - 1,
            ArrowRight: () => current + 1,
            Home: () => 0,
            End: () => steps.length - 1,
        };
        stepper.addEventListener('keydown', event => {
            const wanted = keys[event.key];
            if (wanted && !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
                event.preventDefault();
                keepFromPageTurning(event);
                show(wanted());
            }
        });
        show(0);
    };

    document.querySelectorAll('.stepper').forEach(enhance);
})();

// The page that says how to mend a page names the one its reader came from. The name is whatever the address says, so
// it is shown as text, and only if it can be the name of a page.
(function pageToMend() {
    const line = document.getElementById('page-to-mend');
    const file = new URLSearchParams(window.location.search).get('file');
    if (line && /^book\/src\/[a-z0-9-]+\.md$/.test(file)) {
        line.querySelector('code').textContent = file;
        line.hidden = false;
    }
})();
