import { clsx } from "clsx";
import { useId, type ComponentProps, type ReactNode } from "react";

interface FieldProps extends Omit<ComponentProps<"input">, "id"> {
  label: string;
  /** Said below while there is nothing wrong. */
  hint?: ReactNode;
  /** What is wrong with what was entered. */
  error?: string | null;
  /** At the right end, inside. */
  end?: ReactNode;
}

/** A line to write in, with its label above, and below it what to know or what is wrong. */
export function Field({ label, hint, error, end, className, ...input }: FieldProps) {
  const id = useId();
  const below = error ?? hint;
  return (
    <div className={className}>
      <label htmlFor={id} className="mb-1.5 block text-sm font-medium">
        {label}
      </label>
      <div className="relative">
        <input
          id={id}
          className={clsx(
            "h-11 w-full rounded-lg border bg-surface px-3 text-base outline-offset-0 md:text-sm",
            error ? "border-danger" : "border-line-strong",
            end !== undefined && "pr-11",
          )}
          aria-invalid={error ? true : undefined}
          aria-describedby={below ? `${id}-below` : undefined}
          {...input}
        />
        {end !== undefined && <div className="absolute inset-y-0 right-1 flex items-center">{end}</div>}
      </div>
      {below && (
        <p id={`${id}-below`} className={`mt-1.5 text-sm ${error ? "text-danger" : "text-soft"}`}>
          {below}
        </p>
      )}
    </div>
  );
}
