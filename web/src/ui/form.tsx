/** Labelled fields, all of one look. */

import { clsx } from "clsx";
import { Switch as Radix } from "radix-ui";
import { useId, type ComponentProps, type ReactNode } from "react";

const BOX =
  "w-full rounded-lg border border-line-strong bg-raised px-3 text-base text-ink placeholder:text-soft disabled:opacity-60 sm:text-sm";

interface Labelled {
  label: string;
  /** What is worth knowing before filling it in. */
  hint?: ReactNode;
  /** What is wrong with what was filled in. */
  error?: string | undefined;
}

type FieldProps<Tag extends "input" | "textarea" | "select"> = Labelled & Omit<ComponentProps<Tag>, "id">;

export function TextField({ label, hint, error, className, ...input }: FieldProps<"input">) {
  const field = useField(hint, error);
  return (
    <Frame label={label} hint={hint} error={error} {...field}>
      <input {...field.attributes} className={clsx(BOX, "h-10", className)} {...input} />
    </Frame>
  );
}

interface FileFieldProps extends Labelled {
  accept: string;
  onFile: (file: File | null) => void;
  required?: boolean;
}

export function FileField({ label, hint, error, onFile, ...input }: FileFieldProps) {
  const field = useField(hint, error);
  return (
    <Frame label={label} hint={hint} error={error} {...field}>
      <input
        type="file"
        {...field.attributes}
        className={clsx(
          BOX,
          "h-10 cursor-pointer py-1.5 file:mr-3 file:cursor-pointer file:rounded-md file:bg-hover file:px-2 file:py-0.5",
        )}
        onChange={({ target }) => onFile(target.files?.[0] ?? null)}
        {...input}
      />
    </Frame>
  );
}

export function TextArea({ label, hint, error, className, ...input }: FieldProps<"textarea">) {
  const field = useField(hint, error);
  return (
    <Frame label={label} hint={hint} error={error} {...field}>
      <textarea rows={5} {...field.attributes} className={clsx(BOX, "py-2", className)} {...input} />
    </Frame>
  );
}

export interface Choice<Value extends string> {
  value: Value;
  label: string;
}

interface SelectProps<Value extends string> extends Labelled {
  value: Value;
  choices: readonly Choice<Value>[];
  onChange: (value: Value) => void;
  disabled?: boolean;
}

/** One of several. The browser's own list: it is the best one on phones. */
export function SelectField<Value extends string>({
  label,
  hint,
  error,
  value,
  choices,
  onChange,
  disabled = false,
}: SelectProps<Value>) {
  const field = useField(hint, error);
  return (
    <Frame label={label} hint={hint} error={error} {...field}>
      <select
        {...field.attributes}
        value={value}
        disabled={disabled}
        onChange={(event) => {
          const chosen = choices[event.target.selectedIndex];
          if (chosen) onChange(chosen.value);
        }}
        className={clsx(BOX, "h-10 cursor-pointer")}
      >
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
      </select>
    </Frame>
  );
}

interface SwitchProps {
  label: string;
  hint?: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
}

/** On or off, at once. */
export function SwitchField({ label, hint, checked, onChange, disabled = false }: SwitchProps) {
  const id = useId();
  return (
    <div className="flex min-h-10 items-center justify-between gap-6">
      <div>
        <label htmlFor={id} className="cursor-pointer text-sm font-medium">
          {label}
        </label>
        {hint && (
          <div id={`${id}-hint`} className="mt-0.5 max-w-prose text-sm text-soft">
            {hint}
          </div>
        )}
      </div>
      <Radix.Root
        id={id}
        checked={checked}
        disabled={disabled}
        onCheckedChange={onChange}
        aria-describedby={hint ? `${id}-hint` : undefined}
        className="relative h-6 w-11 shrink-0 cursor-pointer rounded-full border border-line-strong bg-hover transition-colors before:absolute before:-inset-x-1 before:-inset-y-2 disabled:opacity-50 data-[state=checked]:border-accent data-[state=checked]:bg-accent"
      >
        <Radix.Thumb className="block size-4.5 translate-x-0.5 rounded-full bg-line-strong transition-transform data-[state=checked]:translate-x-5.5 data-[state=checked]:bg-accent-ink" />
      </Radix.Root>
    </div>
  );
}

function useField(hint: ReactNode, error: string | undefined) {
  const id = useId();
  const told = error ? `${id}-error` : hint ? `${id}-hint` : undefined;
  return { id, attributes: { id, "aria-describedby": told, "aria-invalid": error ? true : undefined } };
}

function Frame({ label, hint, error, id, children }: Labelled & { id: string; children: ReactNode }) {
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      {children}
      {error ? (
        <p id={`${id}-error`} role="alert" className="text-sm text-danger">
          {error}
        </p>
      ) : (
        hint && (
          <div id={`${id}-hint`} className="text-sm text-soft">
            {hint}
          </div>
        )
      )}
    </div>
  );
}
